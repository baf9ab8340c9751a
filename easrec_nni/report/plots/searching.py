"""Plots of a search: expected cost, entropies, and final probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.figures import COLOURS, INK, MUTED, Picture, new_figure, picture, set_titles
from easrec_nni.report.histories import Curves, mean_curve
from search_spaces.config import parse_candidate_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cost_plot", "entropy_plot", "percent_label", "probabilities_plot"]

# Line styles distinguish the curves without colour.
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
APART = 0.055  # minimum distance between two labels at line ends, as a share of the axes' height


def cost_plot(expected: Mapping[str, Curves], name: str) -> Picture:
    """Plot expected cost by strategy over the search's epochs: means thick, seeds thin."""
    with new_figure(6.8, 4.0) as figure:
        axes = figure.add_subplot()
        _lines(axes, expected)
        axes.set_ylim(bottom=0)
        set_titles(axes, x="epoch of the search", y="expected cost (1 = largest network)")
        _end_names(axes, {label: mean_curve(curves)[-1] for label, curves in expected.items()})
        ends = [f"{label} {mean_curve(curves)[-1][1]:.2f}" for label, curves in expected.items()]
        alt = f"Expected cost at the end of the search, as a share of the largest network: {', '.join(ends)}."
        caption = (
            "Expected multiply-adds of a network drawn from the search's probabilities. Thick: mean over seeds, thin: "
            f"single seeds. {alt}"
        )
        return picture(figure, name, "Expected cost during the search", alt, caption)


def entropy_plot(entropies: Mapping[str, Curves], options: Mapping[str, int], name: str) -> Picture:
    """Plot the entropies of α and β as shares of the uniform distribution's entropy."""
    shares = {
        label: {
            seed: [(epoch, value / math.log(options[label])) for epoch, value in points]
            for seed, points in curves.items()
        }
        for label, curves in entropies.items()
    }
    with new_figure(6.8, 3.4) as figure:
        axes = figure.add_subplot()
        _lines(axes, shares)
        axes.set_ylim(0, 1.05)
        set_titles(axes, x="epoch of the search", y="undecidedness (1 = all options alike)")
        _end_names(axes, {label: mean_curve(curves)[-1] for label, curves in shares.items()})
        ends = [f"{label} {mean_curve(curves)[-1][1]:.2f}" for label, curves in shares.items()]
        alt = f"Undecidedness at the end of the search: {', '.join(ends)}."
        caption = f"Entropy of α (widths) and β (layers), divided by its largest value. {alt}"
        return picture(figure, name, "How sure the search became", alt, caption)


def _lines(axes: Axes, groups: Mapping[str, Curves]) -> None:
    for index, curves in enumerate(groups.values()):
        colour, style = COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)]
        for points in curves.values():
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, alpha=0.35)
        axes.plot(*zip(*mean_curve(curves), strict=True), color=colour, linestyle=style, linewidth=2.0)
    last = max(points[-1][0] for curves in groups.values() for points in curves.values())
    axes.set_xlim(0, max(last, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _end_names(axes: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """Label lines at the right of the axes, at the height of their ends or as near as possible."""
    low, high = axes.get_ylim()
    heights = spread_out([(value - low) / (high - low) for _, value in ends.values()], APART)
    for index, (label, height) in enumerate(zip(ends, heights, strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        style = STYLES[index % len(STYLES)]
        axes.plot(
            [1.01, 1.06],
            [height] * 2,
            color=colour,
            linestyle=style,
            transform=axes.transAxes,
            clip_on=False,
            linewidth=2,
        )
        axes.annotate(label, (1.075, height), xycoords="axes fraction", va="center", color=INK, fontsize=9)


def spread_out(heights: Sequence[float], apart: float) -> list[float]:
    """Move heights to a minimum distance, keeping their order.

    Examples
    --------
    >>> [round(height, 2) for height in spread_out([0.5, 0.5, 0.1], 0.1)]
    [0.45, 0.55, 0.1]
    """
    order = sorted(range(len(heights)), key=lambda index: (heights[index], index))
    blocks: list[tuple[list[int], float]] = []  # indices of touching labels, and the centre of their heights
    for index in order:
        members, centre = [index], heights[index]
        while blocks:
            others, other_centre = blocks[-1]
            if centre - other_centre >= apart * (len(members) + len(others)) / 2 - 1e-12:
                break
            centre = (centre * len(members) + other_centre * len(others)) / (len(members) + len(others))
            members = [*others, *members]
            blocks.pop()
        blocks.append((members, centre))
    result = [0.0] * len(heights)
    for members, centre in blocks:
        for place, index in enumerate(members):
            result[index] = centre + (place - (len(members) - 1) / 2) * apart
    return result


def probabilities_plot(architectures: Mapping[int, Architecture], title: str, name: str) -> Picture:
    """Plot final probabilities of widths (α) and layers (β): bars are means, dots are seeds."""
    by_seed = list(architectures.values())
    with new_figure(6.8, 4.6) as figure:
        widths = [len(by_seed[0].probabilities[part]) for part in ("pruning", "depth")]
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[max(widths[0], 4), max(widths[1], 4)])
        pruning = _bars(left, [architecture.probabilities["pruning"] for architecture in by_seed], COLOURS[0])
        depth = _bars(right, [architecture.probabilities["depth"] for architecture in by_seed], COLOURS[1])
        left.set_xticklabels(
            [percent_label(label) for label in pruning], rotation=60, ha="right", rotation_mode="anchor"
        )
        left.set_ylim(0, 1.02)
        set_titles(left, x="cut away: hidden, inner", y="probability", title="α, widths")
        set_titles(right, x="number of layers", title="β, layers")
        strongest = [max(part, key=lambda label: part[label]) for part in (pruning, depth)]
        alt = (
            f"The most probable widths at the end are {percent_label(strongest[0])} (hidden, inner cut away; "
            f"mean {pruning[strongest[0]]:.2f}), the most probable number of layers is {strongest[1]} "
            f"(mean {depth[strongest[1]]:.2f})."
        )
        caption = f"Bars: mean over {len(by_seed)} seed{'s' if len(by_seed) > 1 else ''}; dots: single seeds. {alt}"
        return picture(figure, name, f"What {title} was sure of at the end of its search", alt, caption)


def _bars(axes: Axes, seeds: Sequence[Mapping[str, float]], colour: str) -> dict[str, float]:
    """Draw the bars of one choice; return the means."""
    labels = list(dict.fromkeys(label for values in seeds for label in values))
    means = {label: sum(values.get(label, 0.0) for values in seeds) / len(seeds) for label in labels}
    axes.bar(range(len(labels)), list(means.values()), color=colour, alpha=0.55)
    for values in seeds:
        heights = [values.get(label, 0.0) for label in labels]
        axes.plot(range(len(labels)), heights, "o", color=MUTED, markersize=3.5)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(False, axis="x")
    return means


def percent_label(label: str) -> str:
    """Format ``hidden25_inner50`` as ``25 %, 50 %``."""
    hidden, inner = parse_candidate_label(label)
    return f"{100 * hidden:g} %, {100 * inner:g} %"
