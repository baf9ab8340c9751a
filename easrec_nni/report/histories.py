"""Curves and architectures that a section's cells recorded during search and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.run_files import ARCHITECTURE_FILE
from easrec_nni.report.reading import CellRecord, read_history
from easrec_nni.report.sections import SystemCells

__all__ = ["Curves", "curves", "curves_of", "is_one_shot", "mean_curve", "option_curves", "searched_architectures"]

Curves = dict[int, list[tuple[float, float]]]
"""Pairs of epoch and figure, by seed."""

Rows = Sequence[Mapping[str, float]]

HISTORIES = {"search": "search/state/history.csv", "training": "retrained/history.csv"}


def curves(system: SystemCells, stage: str, key: str) -> Curves:
    """Curves of a figure in a stage (``search`` or ``training``), by seed, if recorded."""
    return curves_of({cell.result.seed: read_history(cell.folder / HISTORIES[stage]) for cell in system.cells}, key)


def curves_of(histories: Mapping[int, Rows], key: str) -> Curves:
    """Curves of a figure in the histories, by seed, if recorded."""
    recorded = {
        seed: [(row["epoch"], row[key]) for row in rows if key in row and "epoch" in row]
        for seed, rows in histories.items()
    }
    return {seed: points for seed, points in recorded.items() if points}


def option_curves(histories: Mapping[int, Rows]) -> dict[str, dict[str, dict[str, Curves]]]:
    """Curves of each option of a one-shot search, for the options plot.

    See :func:`~easrec_nni.report.plots.options.options_plot`. Empty for histories without the cross entropy of each
    option; a choice with a single option is left out.
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
    """Whether a cell's search trained a supernet, so that its epochs form a curve."""
    rows = read_history(cell.folder / HISTORIES["search"])
    return bool(rows) and "expected_cost" in rows[0] and "reward" not in rows[0]


def mean_curve(by_seed: Curves) -> list[tuple[float, float]]:
    """Mean over the seeds that reached each epoch.

    Examples
    --------
    >>> mean_curve({0: [(0, 1.0), (1, 2.0)], 1: [(0, 3.0)]})
    [(0, 2.0), (1, 2.0)]
    """
    values: dict[float, list[float]] = {}
    for points in by_seed.values():
        for epoch, value in points:
            values.setdefault(epoch, []).append(value)
    return [(epoch, sum(figures) / len(figures)) for epoch, figures in sorted(values.items())]


def searched_architectures(cells: Sequence[CellRecord]) -> dict[int, Architecture]:
    """Architectures written by the search, by seed, with probabilities.

    Raises
    ------
    UserError
        An architecture file is damaged.
    """
    files = {cell.result.seed: cell.folder / "search" / ARCHITECTURE_FILE for cell in cells}
    return {seed: Architecture.read(file) for seed, file in files.items() if file.is_file()}
