"""Plot style, and reproducible SVG and PNG of a figure (no dates, no random ids)."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ACCENT",
    "COLOURS",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "Look",
    "Picture",
    "inline_svg",
    "look_of",
    "new_figure",
    "picture",
    "set_titles",
]

INK, MUTED, GRID, PAPER = "#1a1b1c", "#68696a", "#d8d9da", "#fefdfc"
ACCENT = "#d55e00"
COLOURS = (ACCENT, "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#8a8b8c")
"""Colours of lines and bars, in this order: the colour-blind-safe palette of Okabe and Ito, and a grey."""
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper"}
"""Colours that a page in dark mode replaces; nothing else may use them."""

FONT = "DejaVu Sans"  # comes with matplotlib, so that plots are the same everywhere
DPI = 160


@dataclass(frozen=True)
class Look:
    """Colour and marker of a group of systems; markers alone tell the groups apart."""

    colour: str
    marker: str


# The colour-blind-safe palette of Okabe and Ito.
_LOOKS = {
    "search strategy": Look(ACCENT, "o"),
    "sequence model": Look("#0072b2", "s"),
    "control": Look("#009e73", "^"),
    "ablation": Look("#cc79a7", "D"),
    "second tier": Look("#56b4e9", "v"),
}
_OTHER = Look("#8a8b8c", "X")


def look_of(group: str) -> Look:
    """Look of a group of systems."""
    return _LOOKS.get(group, _OTHER)


_SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "easrec",
    "svg.fonttype": "none",  # text stays text: small, searchable
    "text.parse_math": False,  # a name with dollar signs is a name
    "font.family": FONT,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "lines.linewidth": 1.6,
}


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """Open an empty figure in the toolkit's style, sizes in inches; render it within the block."""
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)  # pyplot would keep every figure in memory and need a display
        yield figure


def picture(figure: Figure, name: str, title: str, alt: str, caption: str = "") -> Picture:
    """Render a figure as SVG and PNG."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # lay the axes out once; each savefig would do it twice more
        figure.set_layout_engine("none")
    svg, png = io.StringIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return Picture(name, title, alt, svg.getvalue(), png.getvalue(), caption)


def inline_svg(drawn: Picture) -> str:
    """SVG for embedding in a page: no URLs, unique ids, colours that follow light and dark mode.

    Parameters
    ----------
    drawn
        A picture with matplotlib's SVG.
    """
    svg = drawn.svg[drawn.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(<svg[^>]*?)\s(?:width="[^"]*"\s*)(?:height="[^"]*"\s*)?', r"\1 ", svg, count=1)
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{drawn.name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = svg.replace(f"'{FONT}'", "system-ui, sans-serif")
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(drawn.alt)}"', 1).strip()


def set_titles(axes: Axes, *, x: str = "", y: str = "", title: str = "") -> None:
    """Set the axis labels and the title of a plot."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title)


@dataclass(frozen=True)
class Picture:
    """A rendered plot: ``name`` is its file name's stem, ``alt`` describes it in words."""

    name: str
    title: str
    alt: str
    svg: str
    png: bytes = field(repr=False)
    caption: str = ""
