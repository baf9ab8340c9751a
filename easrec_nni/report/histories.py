"""What a section's cells recorded while they searched and trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from easrec_nni.architecture.document import Architecture
from easrec_nni.report.reading import CellRecord, read_history
from easrec_nni.report.sections import SystemCells

__all__ = ["Curves", "curves", "curves_of", "is_one_shot", "mean_curve", "option_curves", "searched_architectures"]

Curves = dict[int, list[tuple[float, float]]]
"""Of each seed, epoch and figure."""

Rows = Sequence[Mapping[str, float]]

HISTORIES = {"search": "search/state/history.csv", "training": "retrained/history.csv"}


def curves(system: SystemCells, stage: str, key: str) -> Curves:
    """A figure over the epochs of a stage, ``search`` or ``training``; seeds that did not record it are left out."""
    return curves_of({cell.result.seed: read_history(cell.folder / HISTORIES[stage]) for cell in system.cells}, key)


def curves_of(histories: Mapping[int, Rows], key: str) -> Curves:
    """A figure over the epochs of each seed's history; seeds that did not record it are left out."""
    found = {
        seed: [(row["epoch"], row[key]) for row in rows if key in row and "epoch" in row]
        for seed, rows in histories.items()
    }
    return {seed: points for seed, points in found.items() if points}


def option_curves(histories: Mapping[int, Rows]) -> dict[str, dict[str, dict[str, Curves]]]:
    """Curves of each option of a one-shot search, as :func:`~easrec_nni.report.plots.options.options_plot` takes them.

    Empty for histories that did not record the cross entropy of each option; a choice of one option is left out.
    """
    choices: dict[str, dict[str, dict[str, Curves]]] = {}
    columns = [name for rows in histories.values() for name in (rows[0] if rows else ())]
    for symbol, prefix in (("α", "alpha_"), ("β", "beta_")):
        options = list(dict.fromkeys(name for name in columns if name.startswith(prefix)))
        if len(options) < 2 or f"cross_entropy_{options[0]}" not in columns:
            continue
        choices[symbol] = {
            panel: {name.removeprefix(prefix): curves_of(histories, f"{start}{name}") for name in options}
            for panel, start in (
                ("cross_entropy", "cross_entropy_"),
                ("constraint", "constraint_"),
                ("probability", ""),
            )
        }
    return choices


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
