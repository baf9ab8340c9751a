"""Placement of point labels without overlap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from easrec_nni.common.figures import MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Box", "PointLabel", "free_place", "leader", "place_labels"]

DISTANCES = (7.0, 12.0, 18.0, 25.0, 33.0, 43.0, 55.0, 70.0)  # tried distances between point and label
DIRECTIONS = (0, 180, 90, 270, 45, 315, 135, 225)
POINT = 5.0  # half the width of a point
LEADER_FROM = 10.0  # distance from which a label has a line to its point
STEP = 3.0  # size of the boxes that approximate such a line


@dataclass(frozen=True)
class Box:
    """Rectangle in typographic points."""

    left: float
    bottom: float
    right: float
    top: float

    def shared(self, other: Box) -> float:
        """Area of the intersection with another box."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    @property
    def area(self) -> float:
        """Area of the box."""
        return (self.right - self.left) * (self.top - self.bottom)


@dataclass(frozen=True)
class PointLabel:
    """Label of a point in data coordinates."""

    x: float
    y: float
    text: str
    bold: bool = False


def _places(x: float, y: float, width: float, height: float) -> Iterator[Box]:
    """Candidate boxes around a point, nearest first."""
    for distance in DISTANCES:
        for direction in DIRECTIONS:
            angle = math.radians(direction)
            dx, dy = math.cos(angle), math.sin(angle)
            centre_x = x + dx * distance + (width / 2) * (round(dx, 6) > 0) - (width / 2) * (round(dx, 6) < 0)
            centre_y = y + dy * (distance + height / 2)
            yield Box(centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2)


def leader(x: float, y: float, box: Box) -> list[Box]:
    """Line from a point to its label as small boxes; empty if the label is near."""
    end_x, end_y = min(max(x, box.left), box.right), min(max(y, box.bottom), box.top)
    length = math.hypot(end_x - x, end_y - y)
    if length < LEADER_FROM:
        return []
    steps = math.ceil(length / STEP)
    places = ((x + (end_x - x) * step / steps, y + (end_y - y) * step / steps) for step in range(1, steps))
    return [Box(px - STEP / 2, py - STEP / 2, px + STEP / 2, py + STEP / 2) for px, py in places]


def free_place(
    x: float, y: float, size: tuple[float, float], taken: Sequence[Box], names: Sequence[Box], frame: Box
) -> Box:
    """Nearest box for a label that covers nothing; otherwise the one that covers least.

    Parameters
    ----------
    x, y
        Coordinates of the point.
    size
        Width and height of the label.
    taken
        Boxes that the label should not cover.
    names
        Boxes that neither the label nor the line to it should cover.
    frame
        Box that the label should stay within.
    """
    best: tuple[float, Box] | None = None
    for box in _places(x, y, *size):
        covered = sum(box.shared(other) for other in (*taken, *names)) + (box.area - box.shared(frame))
        covered += sum(part.shared(other) for part in leader(x, y, box) for other in names)
        if covered < 1e-6:
            return box
        if best is None or covered < best[0]:
            best = covered, box
    assert best is not None
    return best[1]


def _thin(x0: float, y0: float, x1: float, y1: float) -> Box:
    """Box of a vertical or horizontal line."""
    return Box(min(x0, x1) - 0.5, min(y0, y1) - 0.5, max(x0, x1) + 0.5, max(y0, y1) + 0.5)


def place_labels(
    axes: Axes,
    labels: Sequence[PointLabel],
    lines: Sequence[Sequence[tuple[float, float]]] = (),
    size: float = 9.0,
) -> None:
    """Draw the labels of points, after everything else has been drawn.

    Parameters
    ----------
    axes
        Axes of the points.
    labels
        Labels, placed in this order.
    lines
        Vertical and horizontal lines that labels should not cover, as their corners.
    size
        Font size in points.
    """
    figure = axes.figure.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # fixes the position of the axes
    figure.set_layout_engine("none")
    scale = 72 / figure.dpi
    pixels = [axes.transData.transform((label.x, label.y)) * scale for label in labels]
    points = [Box(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in pixels]
    taken = list(points)
    names: list[Box] = []
    for line in lines:
        taken += [_thin(*begin, *end) for begin, end in pairwise(axes.transData.transform(line) * scale)]
    bounds = axes.get_window_extent()
    frame = Box(bounds.x0 * scale, bounds.y0 * scale, bounds.x1 * scale, bounds.y1 * scale)
    for label, (x, y), marker in zip(labels, pixels, points, strict=True):
        font: dict[str, Any] = {"fontsize": size, "fontweight": "bold" if label.bold else "normal"}
        text = axes.text(0, 0, label.text, **font)
        extent = text.get_window_extent()
        text.remove()
        others = [point for point in points if point != marker]
        box = free_place(x, y, (extent.width * scale + 2, extent.height * scale), taken, [*names, *others], frame)
        _write(axes, label, (x, y), box, font)
        names.append(box)
        taken += leader(x, y, box)


def _write(axes: Axes, label: PointLabel, point: tuple[float, float], box: Box, font: dict[str, Any]) -> None:
    x, y = point
    # Start of the line on the label's near side, as shares of its width and height.
    start = (
        (min(max(x, box.left), box.right) - box.left) / (box.right - box.left),
        (min(max(y, box.bottom), box.top) - box.bottom) / (box.top - box.bottom),
    )
    arrow = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3, "relpos": start}
    axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=((box.left + box.right) / 2 - x, (box.bottom + box.top) / 2 - y),
        textcoords="offset points",
        ha="center",
        va="center",
        arrowprops=arrow if leader(x, y, box) else None,
        **font,
    )
