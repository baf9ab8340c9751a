"""Plot of Figure 4: accuracy and multiply-adds against λ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from easrec_nni.common.figures import Picture, look_of, new_figure, picture, set_titles
from easrec_nni.common.readable import readable_count
from easrec_nni.report.content import Record
from easrec_nni.report.pareto import figure_of
from easrec_nni.report.sections import RANKINGS
from easrec_nni.report.sweep import SWEPT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["sweep_plot"]

PANELS = (("ndcg@10_pop100", "NDCG@10, pop100"), ("madds_per_user", "multiply-adds per user"))


def sweep_plot(records: Sequence[Record], name: str, ranking: str = "full") -> Picture:
    """Plot the records of one system in stacked panels, λ at equal steps."""
    shown = ((f"ndcg@10_{ranking}", f"NDCG@10, {RANKINGS[ranking]}"), *PANELS)
    values = [f"{figure_of(record, SWEPT):g}" for record in records]
    seeds = sorted({int(record["seeds"] or 0) for record in records})
    with new_figure(6.4, 6.4) as figure:
        panels = figure.subplots(len(shown), 1, sharex=True)
        for axes, (key, title) in zip(panels, shown, strict=True):
            _panel(axes, records, key)
            set_titles(axes, title=title)
        panels[-1].set_xticks(range(len(values)), values)
        panels[-1].set_xlim(-0.4, len(values) - 0.6)
        panels[-1].set_ylim(bottom=0)
        panels[-1].yaxis.set_major_formatter(lambda value, _: readable_count(value))
        set_titles(panels[-1], x="trade-off λ (no scale: the values that were run, at equal steps)", title=shown[-1][1])
        number = " to ".join(dict.fromkeys((str(seeds[0]), str(seeds[-1]))))
        accuracy, madds = ([figure_of(record, shown[panel][0]) for record in records] for panel in (0, 2))
        alt = (
            f"From λ = {values[0]} to {values[-1]} the NDCG@10 by {RANKINGS[ranking]} goes from {accuracy[0]:.4f} "
            f"to {accuracy[-1]:.4f} and the multiply-adds from {readable_count(madds[0])} to "
            f"{readable_count(madds[-1])}."
        )
        caption = (
            f"Means over {number} seeds of the test set; bars are ± one standard deviation. The axes of accuracy do "
            f"not begin at 0. {alt}"
        )
        return picture(figure, name, "Figure 4: the trade-off λ", alt, caption)


def _panel(axes: Axes, records: Sequence[Record], key: str) -> None:
    look = look_of("search strategy")
    means = [figure_of(record, key) for record in records]
    spreads = [figure_of(record, f"{key}_sd") for record in records]
    axes.errorbar(
        range(len(means)), means, yerr=spreads, fmt=f"-{look.marker}", color=look.colour, capsize=3, elinewidth=1.0
    )
