"""Plot of training curves: one small panel per system, all on the same scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from easrec_nni.common.figures import INK, Picture, look_of, new_figure, picture
from easrec_nni.report.histories import Curves, mean_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["training_plot"]

ACROSS = 4
LONGEST_TITLE = 28  # characters of a panel's title


def training_plot(systems: Mapping[str, tuple[str, Curves]], name: str, title: str, unit: str) -> Picture:
    """Plot the training curves of every system.

    Parameters
    ----------
    systems
        Group, and curves by seed, of each system's label.
    name, title
        File name and title of the picture.
    unit
        Title of the vertical axes.
    """
    rows = math.ceil(len(systems) / ACROSS)
    with new_figure(8.4, 0.5 + 1.75 * rows) as figure:
        panels = figure.subplots(rows, ACROSS, sharex=True, sharey=True, squeeze=False)
        flat = [axes for row in panels for axes in row]
        for axes, (label, (group, curves)) in zip(flat, systems.items(), strict=False):
            _panel(axes, curves, look_of(group).colour)
            short = label if len(label) <= LONGEST_TITLE else f"{label[: LONGEST_TITLE - 1]}…"
            axes.set_title(short, fontsize=8.5, fontweight="normal", color=INK)
        for axes in flat[len(systems) :]:
            axes.set_axis_off()
        for axes in flat[max(len(systems) - ACROSS, 0) : len(systems)]:  # above an empty panel is a last one too
            axes.tick_params(labelbottom=True)
        figure.supxlabel("epoch of the training", fontsize=10)
        figure.supylabel(unit, fontsize=10)
        alt = f"{title}: one panel for each of {len(systems)} systems, a thin line for each seed."
        caption = (
            "Thick: mean over the seeds that trained as long; thin: single seeds. All panels have the same axes. Epoch "
            "−1 is the network before its training."
        )
        return picture(figure, name, title, alt, caption)


def _panel(axes: Axes, curves: Curves, colour: str) -> None:
    for points in curves.values():
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, alpha=0.5)
    axes.plot(*zip(*mean_curve(curves), strict=True), color=colour, linewidth=1.8)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=8)
