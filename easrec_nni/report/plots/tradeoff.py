"""Plot of accuracy against multiply-adds, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from easrec_nni.architecture.cost_kinds import COST_FIGURES
from easrec_nni.common.figures import INK, MUTED, Picture, look_of, new_figure, picture, set_titles
from easrec_nni.common.readable import readable_count
from easrec_nni.report.content import Record
from easrec_nni.report.pareto import figure_of
from easrec_nni.report.plots.labels import PointLabel, place_labels
from easrec_nni.report.sections import RANKINGS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["tradeoff_plot"]

Corners = list[tuple[float, float]]

ROOM = 0.12  # margin around the points, as a share of the range
_TITLES = {
    COST_FIGURES["nominal"]: "multiply-adds per user",
    COST_FIGURES["executed"]: "multiply-adds executed per user",
}


def tradeoff_plot(records: Sequence[Record], cost: str, name: str, ranking: str = "full") -> Picture:
    """Scatter plot of ``tradeoff_records`` with these figures of cost and ranking; bars are standard deviations."""
    accuracy = f"ndcg@10_{ranking}"
    x_title = _TITLES[cost]
    with new_figure(7.6, 5.2) as figure:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        _points(axes, records, cost, accuracy)
        front = sorted((record for record in records if record["pareto"]), key=lambda record: figure_of(record, cost))
        _limits(axes, records, cost)
        steps_x = [figure_of(record, cost) for record in front] + [axes.get_xlim()[1]]
        steps_y = [figure_of(record, accuracy) for record in front]
        axes.step(steps_x, [*steps_y, steps_y[-1]], where="post", color=MUTED, linewidth=1.0, linestyle="--", zorder=1)
        axes.xaxis.set_major_formatter(lambda value, _: readable_count(value))
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        _ticks(axes)
        set_titles(axes, x=f"{x_title} (logarithmic)", y=f"NDCG@10, {RANKINGS[ranking]}, test")
        order = sorted(records, key=lambda record: (record["system"] != "easrec", not record["pareto"]))
        place_labels(
            axes,
            [_label(record, cost, accuracy) for record in order],
            _lines(records, (cost, accuracy), (steps_x, steps_y)),
        )
        names = ", ".join(str(record["title"]) for record in front)
        title = "Accuracy against cost"
        alt = f"Scatter plot of NDCG@10 against {x_title}. On the Pareto front: {names}."
        caption = (
            "Further left is cheaper, further up is more accurate; bars are ± one standard deviation over seeds. "
            f"Dashed: the Pareto front, systems that no other beats in both. On it: {names}. A step up that is smaller "
            "than the bars is no evidence that the upper system is better."
        )
        return picture(figure, name, title, alt, caption)


def _points(axes: Axes, records: Sequence[Record], cost: str, accuracy: str) -> None:
    for record in records:
        look = look_of(str(record["group"]))
        ours = record["system"] == "easrec"
        axes.errorbar(
            figure_of(record, cost),
            figure_of(record, accuracy),
            xerr=figure_of(record, f"{cost}_sd") or None,
            yerr=figure_of(record, f"{accuracy}_sd") or None,
            fmt=look.marker,
            color=look.colour,
            markersize=9 if ours else 7,
            markeredgecolor=INK if ours else look.colour,
            elinewidth=0.7,
            ecolor=(look.colour, 0.55),
            zorder=3,
        )
    for group in dict.fromkeys(str(record["group"]) for record in records):
        look = look_of(group)
        axes.plot([], [], look.marker, color=look.colour, label=group)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, handletextpad=0.1, borderaxespad=0)


def _lines(
    records: Sequence[Record], figures: tuple[str, str], steps: tuple[Sequence[float], Sequence[float]]
) -> list[Corners]:
    """Corners of the front's steps and of the error bars, by the figures of cost and accuracy."""
    (cost, accuracy), (steps_x, steps_y) = figures, steps
    corners = [(steps_x[0], steps_y[0])]
    for x, y in zip(steps_x[1:], [*steps_y[1:], steps_y[-1]], strict=True):
        corners += [(x, corners[-1][1]), (x, y)]
    bars: list[Corners] = [corners]
    for record in records:
        x, y = figure_of(record, cost), figure_of(record, accuracy)
        dx, dy = figure_of(record, f"{cost}_sd"), figure_of(record, f"{accuracy}_sd")
        bars += [[(x, y - dy), (x, y + dy)], [(max(x - dx, x / 10), y), (x + dx, y)]]
    return bars


def _limits(axes: Axes, records: Sequence[Record], cost: str) -> None:
    """Set the axes' limits, with a margin for labels."""
    costs = []
    for record in records:
        value, spread = figure_of(record, cost), figure_of(record, f"{cost}_sd")
        costs += [
            max(value - spread, value / 2),
            value + spread,
        ]  # a wide bar does not fit a logarithmic axis
    factor = max((max(costs) / min(costs)) ** ROOM, 1.5)
    axes.set_xlim(min(costs) / factor, max(costs) * factor)
    low, high = axes.get_ylim()
    axes.set_ylim(low - (high - low) * ROOM / 2, high + (high - low) * ROOM / 2)


def _ticks(axes: Axes) -> None:
    """Set ticks at 1, 2 and 5 of every power of ten, since the range may be less than ten-fold."""
    low, high = axes.get_xlim()
    ticks = [digit * 10.0**power for power in range(0, 15) for digit in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(inside)
    axes.set_xlim(low, high)


def _label(record: Record, cost: str, accuracy: str) -> PointLabel:
    ours = record["system"] == "easrec"
    return PointLabel(figure_of(record, cost), figure_of(record, accuracy), str(record["title"]), ours)
