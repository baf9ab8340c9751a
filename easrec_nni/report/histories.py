"""What a section's cells recorded while they searched and trained."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.architecture import Architecture
from easrec_nni.report.reading import CellRecord, read_history
from easrec_nni.report.sections import SystemCells

__all__ = ["Curves", "curves", "mean_curve", "searched_architectures"]

Curves = dict[int, list[tuple[float, float]]]
"""Of each seed, epoch and figure."""

HISTORIES = {"search": "search/state/history.csv", "training": "retrained/history.csv"}


def curves(system: SystemCells, stage: str, key: str) -> Curves:
    """A figure over the epochs of a stage, ``search`` or ``training``; seeds that did not record it are left out."""
    found: Curves = {}
    for cell in system.cells:
        rows = read_history(cell.folder / HISTORIES[stage])
        points = [(row["epoch"], row[key]) for row in rows if key in row and "epoch" in row]
        if points:
            found[cell.result.seed] = points
    return found


def is_one_shot(cell: CellRecord) -> bool:
    """Whether a cell's search trained one supernet: its epochs are a course, not candidates one after the other."""
    rows = read_history(cell.folder / HISTORIES["search"])
    return bool(rows) and "expected_cost" in rows[0] and "reward" not in rows[0]


def mean_curve(found: Curves) -> list[tuple[float, float]]:
    """Mean over the seeds that got as far.

    Examples
    --------
    >>> mean_curve({0: [(0, 1.0), (1, 2.0)], 1: [(0, 3.0)]})
    [(0, 2.0), (1, 2.0)]
    """
    values: dict[float, list[float]] = {}
    for points in found.values():
        for epoch, value in points:
            values.setdefault(epoch, []).append(value)
    return [(epoch, sum(each) / len(each)) for epoch, each in sorted(values.items())]


def searched_architectures(cells: Sequence[CellRecord]) -> dict[int, Architecture]:
    """Of each seed, what its search wrote, probabilities included.

    Raises
    ------
    UserError
        A file is damaged.
    """
    files = {cell.result.seed: cell.folder / "search" / "architecture.json" for cell in cells}
    return {seed: Architecture.read(file) for seed, file in files.items() if file.is_file()}
