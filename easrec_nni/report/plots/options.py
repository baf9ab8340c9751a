"""What a search chose from: cross entropy, charge of the constraint, and probability of each option over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.ticker import MaxNLocator

from easrec_nni.common.figures import MUTED, Picture, new_figure, picture, set_titles
from easrec_nni.report.histories import Curves, mean_curve
from easrec_nni.report.plots.searching import percent_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PANELS", "options_plot"]

PANELS = {
    "cross_entropy": "what the data want: cross entropy above the best option's, nats",
    "constraint": "what the constraint pulls: its charge above the cheapest option's, nats",
    "probability": "what was chosen: probability",
}
"""Figures of each option; those in nats are added up by Eq. 16, so that their sum says where the search went."""

MAPS = {"α": "viridis", "β": "plasma"}  # options are ordered by size, and so are the colours


def options_plot(
    choices: Mapping[str, Mapping[str, Mapping[str, Curves]]], warmup: float, title: str, name: str
) -> Picture:
    """Rows: α (widths), β (layers). Columns: cross entropy, charge of the constraint, probability.

    Parameters
    ----------
    choices
        ``α`` and ``β`` → a key of :data:`PANELS` → option → curves of its seeds; means are drawn.
    warmup
        Epochs at the beginning in which the weights trained alone; shaded.
    title, name
        Of the picture.
    """
    ends: list[str] = []
    shown: dict[str, Callable[[str], str]] = {"α": percent_label, "β": str}
    with new_figure(9.6, 2.9 * len(choices) + 0.3) as figure:
        grid = figure.subplots(len(choices), len(PANELS), squeeze=False, sharex=True)
        for row, (symbol, panels) in zip(grid, choices.items(), strict=True):
            for axes, (key, heading) in zip(row, PANELS.items(), strict=True):
                means = {shown[symbol](option): dict(mean_curve(found)) for option, found in panels[key].items()}
                if key != "probability":
                    means = _above_lowest(means)
                _draw(axes, means, MAPS[symbol], warmup)
                before, _, after = heading.partition(": ")
                set_titles(axes, y=after.removesuffix(", nats") + (", nats" if "nats" in after else ""), title="")
                axes.set_title(f"{symbol}, {before}", fontsize=9)
                axes.yaxis.label.set_fontsize(8)
            legend = {"α": "hidden, inner cut away", "β": "layers"}[symbol]
            row[-1].legend(
                title=legend, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=7, title_fontsize=8
            )
            last = {option: curve[max(curve)] for option, curve in means.items()}
            strongest = max(last, key=lambda option: last[option])
            ends.append(f"{symbol}: {strongest} with {last[strongest]:.0%}")
        for axes in grid[-1]:
            axes.set_xlabel("epoch of the search")
        alt = f"Strongest options at the end of the search: {', '.join(ends)}."
        caption = (
            f"Means over seeds. Shaded: the warm-up, in which weights train alone. Lower is better in the first two "
            f"columns, and the search minimises their sum. {alt}"
        )
        return picture(figure, name, title, alt, caption)


def _above_lowest(means: Mapping[str, Mapping[float, float]]) -> dict[str, dict[float, float]]:
    """Each epoch's figures less the lowest of that epoch."""
    epochs = set.intersection(*(set(curve) for curve in means.values()))
    lowest = {epoch: min(curve[epoch] for curve in means.values()) for epoch in epochs}
    return {
        option: {epoch: curve[epoch] - lowest[epoch] for epoch in sorted(epochs)} for option, curve in means.items()
    }


def _draw(axes: Axes, means: Mapping[str, Mapping[float, float]], colours: str, warmup: float) -> None:
    colour = matplotlib.colormaps[colours]
    for index, (option, curve) in enumerate(means.items()):
        shade = 0.85 * index / max(1, len(means) - 1)
        axes.plot(list(curve), list(curve.values()), label=option, color=colour(shade), linewidth=1.4)
    if warmup > 0:
        axes.axvspan(-0.5, warmup - 0.5, color=MUTED, alpha=0.15, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_xlim(-0.5, max(max(curve) for curve in means.values()) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
