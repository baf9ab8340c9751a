"""Drawing of a searched network: kept dimensions filled, pruned ones in outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.patches import Rectangle

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.figures import ACCENT, INK, MUTED, Picture, new_figure, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["network_plot"]

HIDDEN, INNER = "#0072b2", ACCENT
LEFT, WIDTH = 0.30, 0.50  # left edge and full length of the bars, as shares of the figure's width
BAR = 0.74  # height of a bar in lines
INCHES = 0.25  # height of a line
LARGEST_LAYERS = 12  # maximum number of layers drawn


def network_plot(architecture: Architecture, title: str, name: str) -> Picture:
    """Draw a network from its input at the bottom to the scores at the top.

    Parameters
    ----------
    architecture
        Architecture with its search space.
    title
        System that chose it.
    name
        Name of the picture's files.
    """
    space, small = architecture.space, architecture.network
    layers = min(space.layers, LARGEST_LAYERS)
    lines = 3 * layers + 4.5
    with new_figure(6.4, INCHES * lines) as figure:
        figure.set_layout_engine("none")  # the axes are the figure
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(-1.6, lines - 1.6)
        axes.text(LEFT, -1, "history", color=MUTED, va="center", fontsize=9)
        _line(axes, 0, f"embedding of {space.n_items:,} items", small.hidden, space.hidden, HIDDEN)
        for number in range(1, layers + 1):
            _layer(axes, 3 * number - 1.5, number, architecture)
        top = 3 * layers + 1.5
        axes.text(LEFT, top, f"scores of {space.n_items:,} items", va="center", fontweight="bold", fontsize=9)
        alt = _in_words(architecture)
        caption = (
            f"From the history at the bottom to the scores at the top: filled is kept, outlined was cut away. {alt}"
        )
        return picture(figure, name, f"The network that {title} chose", alt, caption)


def _in_words(architecture: Architecture) -> str:
    space, small, choice = architecture.space, architecture.network, architecture.choices
    text = (
        f"{small.layers} of {space.layers} layers, {small.hidden} of {space.hidden} hidden dimensions and "
        f"{small.inner} of {space.inner} inner dimensions ({choice.hidden_pruning:.0%} and {choice.inner_pruning:.0%} "
        "cut away)."
    )
    if space.gate_layers:
        text += f" Data-aware gates from layer {space.gates_from}."
    if space.layers > LARGEST_LAYERS:
        text += f" Only the first {LARGEST_LAYERS} layers are drawn."
    return text


def _layer(axes: Axes, level: float, number: int, architecture: Architecture) -> None:
    """Draw a layer: attention below, feed-forward above."""
    space, small = architecture.space, architecture.network
    is_kept = number <= small.layers
    gates = ", gates" if is_kept and space.has_gates(number) else ""
    _line(axes, level, f"layer {number}: attention{gates}", small.hidden if is_kept else 0, space.hidden, HIDDEN)
    _line(axes, level + 1, "feed-forward", small.inner if is_kept else 0, space.inner, INNER)


def _line(axes: Axes, level: float, text: str, width: int, total: int, colour: str) -> None:
    """Draw a bar of the kept width in the outline of the full width."""
    corner = (LEFT, level - BAR / 2)
    axes.add_patch(Rectangle(corner, WIDTH * width / total, BAR, color=colour, alpha=0.75, linewidth=0))
    axes.add_patch(Rectangle(corner, WIDTH, BAR, fill=False, edgecolor=MUTED, linewidth=0.8, linestyle=":"))
    note = f"{width} of {total}" if 0 < width < total else str(width) if width else "cut away"
    ink = INK if width else MUTED
    axes.text(LEFT - 0.015, level, text, ha="right", va="center", fontsize=9, color=ink)
    axes.text(LEFT + WIDTH + 0.015, level, note, ha="left", va="center", fontsize=9, color=ink)
