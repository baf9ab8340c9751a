"""Plot of a supernet's architectures: accuracy by inherited weights against cost."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.architecture.cost_kinds import COST_FIGURES, COST_TITLES
from easrec_nni.common.figures import ACCENT, INK, MUTED, Picture, new_figure, picture, set_titles
from easrec_nni.report.content import Record
from easrec_nni.report.pareto import figure_of
from easrec_nni.report.plots.labels import PointLabel, place_labels
from easrec_nni.searching.picking import readable_cost

__all__ = ["front_plot"]

TITLES = {COST_FIGURES[kind]: title for kind, title in COST_TITLES.items()}


def front_plot(records: Sequence[Record], figure_name: str, key: str, name: str = "front") -> Picture:
    """Scatter plot of architectures, with the Pareto front as steps.

    Parameters
    ----------
    records
        Architectures, cheapest first; see :func:`~easrec_nni.report.front.front_records`.
    figure_name
        Key of the accuracy.
    key
        Key of the cost.
    name
        Stem of the picture's file name.
    """
    best = [record for record in records if record["pareto"]]
    with new_figure(7.6, 5.2) as figure:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        for chosen, colour, label in ((False, MUTED, "dominated"), (True, ACCENT, "on the front")):
            points = [record for record in records if bool(record["pareto"]) == chosen]
            axes.plot(*_coordinates(points, figure_name, key), "o", color=colour, label=label, zorder=3)
        unpruned = max(records, key=lambda record: figure_of(record, key))
        axes.plot(*_coordinates([unpruned], figure_name, key), "s", color=INK, label="unpruned", zorder=4)
        x, y = _coordinates(best, figure_name, key)
        low, high = axes.get_xlim()
        steps = [*x, high], [*y, y[-1]]
        axes.step(*steps, where="post", color=ACCENT, linewidth=1.0, linestyle="--", zorder=1)
        axes.set_xlim(low, high)
        axes.xaxis.set_major_formatter(lambda value, _: readable_cost(key, value))
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        set_titles(axes, x=f"{TITLES.get(key, key)} (logarithmic)", y=f"validation {figure_name}")
        labels = [
            PointLabel(figure_of(record, key), figure_of(record, figure_name), str(record["architecture"]), False)
            for record in best
        ]
        place_labels(axes, labels, [list(zip(*steps, strict=True))])
        axes.legend(loc="lower right", frameon=False)
        names = ", ".join(str(record["architecture"]) for record in best)
        return picture(
            figure,
            name,
            "Accuracy with inherited weights against cost",
            f"Scatter plot of validation {figure_name} against {TITLES.get(key, key)}. On the front: {names}.",
        )


def _coordinates(records: Sequence[Record], figure_name: str, key: str) -> tuple[list[float], list[float]]:
    return [figure_of(record, key) for record in records], [figure_of(record, figure_name) for record in records]
