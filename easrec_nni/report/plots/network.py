"""A drawing of a searched network: what is kept in colour, what was cut away in outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.patches import Rectangle

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.figures import ACCENT, INK, MUTED, Picture, new_figure, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["network_plot"]

HIDDEN, INNER = "#0072b2", ACCENT
LEFT, WIDTH = 0.30, 0.50  # of the bars: where they begin and how long the whole is, as shares of the width
BAR = 0.74  # height of a bar in lines
INCHES = 0.25  # height of a line
LARGEST_LAYERS = 12  # that are drawn


def network_plot(architecture: Architecture, title: str, name: str) -> Picture:
    """Draw a network from its input at the bottom to the scores at the top.

    Parameters
    ----------
    architecture
        The network and the space that it was chosen from.
    title
        Who chose it.
    name
        Of the picture's files.
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
    """Attention below, feed-forward above."""
    space, small = architecture.space, architecture.network
    kept = number <= small.layers
    gates = ", gates" if kept and space.gate_layers and number >= space.gates_from else ""
    _line(axes, level, f"layer {number}: attention{gates}", small.hidden if kept else 0, space.hidden, HIDDEN)
    _line(axes, level + 1, "feed-forward", small.inner if kept else 0, space.inner, INNER)


def _line(axes: Axes, level: float, text: str, kept: int, total: int, colour: str) -> None:
    """A bar of the width that is kept, in the outline of the whole."""
    corner = (LEFT, level - BAR / 2)
    axes.add_patch(Rectangle(corner, WIDTH * kept / total, BAR, color=colour, alpha=0.75, linewidth=0))
    axes.add_patch(Rectangle(corner, WIDTH, BAR, fill=False, edgecolor=MUTED, linewidth=0.8, linestyle=":"))
    note = f"{kept} of {total}" if 0 < kept < total else str(kept) if kept else "cut away"
    ink = INK if kept else MUTED
    axes.text(LEFT - 0.015, level, text, ha="right", va="center", fontsize=9, color=ink)
    axes.text(LEFT + WIDTH + 0.015, level, note, ha="left", va="center", fontsize=9, color=ink)
