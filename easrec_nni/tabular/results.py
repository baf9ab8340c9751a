"""Files of ``easrec table study`` and ``easrec table regret``: CSV tables and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.figures import Picture
from easrec_nni.common.files import atomic_write, write_text
from easrec_nni.report.cells import records_csv
from easrec_nni.report.content import Record
from easrec_nni.tabular.comparing import Comparison, compare_with_control
from easrec_nni.tabular.plots import curves_plot, regret_plot
from easrec_nni.tabular.regret import Regret, regret
from easrec_nni.tabular.searches import ExportedSearch
from easrec_nni.tabular.simulation import TabularEvaluator
from easrec_nni.tabular.studying import StudiedStrategy, study_rows
from easrec_nni.tabular.table import ArchitectureTable

__all__ = ["BUDGET", "CONTROL", "OWN_COST", "comparison_records", "write_regret", "write_study"]

CONTROL = "random"
OWN_COST, BUDGET = "own cost", "budget"
"""What limits the cost of the architectures that an exported one is compared with."""


def write_study(
    evaluator: TabularEvaluator, studied: Sequence[StudiedStrategy], out: Path, kind: str | None = None
) -> list[Comparison]:
    """Write ``curves.csv``, ``strategies.csv`` and the plot ``curves``; return the comparison with random search.

    Parameters
    ----------
    evaluator
        Rewards of the searches.
    studied
        Results of :func:`~easrec_nni.tabular.studying.study_strategies`.
    out
        Folder to write to.
    kind
        Kind of cost; the table's default by default.
    """
    rows = study_rows(evaluator, studied, kind)
    compared = compare_with_control({strategy.name: strategy.final for strategy in studied}, CONTROL)
    unit = f"regret_nats_{evaluator.table.tested}"
    _write(
        out,
        {"curves": rows, "strategies": comparison_records(compared, unit)},
        curves_plot(rows, evaluator.table.tested),
    )
    return compared


def write_regret(
    table: ArchitectureTable,
    searches: Sequence[ExportedSearch],
    out: Path,
    *,
    control: str = CONTROL,
    kind: str | None = None,
    figure: str | None = None,
    budget: float | None = None,
) -> dict[str, list[Comparison]]:
    """Write ``searches.csv``, ``strategies.csv`` and the plot ``regret``; return the comparisons with the control.

    They are those of the regrets at the networks' ``own cost`` and, of searches that had a budget, within the
    ``budget``, which counts what a network smaller than its budget misses.

    Parameters
    ----------
    table
        The table.
    searches
        Finished searches.
    out
        Folder to write to.
    control
        Label of the strategy that the others are compared with.
    kind
        Kind of cost; the table's default by default.
    figure
        Figure of accuracy; by default the selecting metric on test.
    budget
        Share of the unpruned network's cost that the searches were to keep to; by default each search's own budget, in
        the kind of cost that it bounded.

    Raises
    ------
    UserError
        A strategy has two searches with one seed.
    """
    kind, name = table.check_kind(kind), table.check_figure(figure or table.tested)
    found = [regret(table, search.entry, kind, name) for search in searches]
    budgets = [
        _within_budget(table, search, each, kind, name, budget) for search, each in zip(searches, found, strict=True)
    ]
    by_limit = {
        OWN_COST: _by_strategy(searches, [each.relative for each in found]),
        BUDGET: _by_strategy(searches, [columns["budget_regret_share"] for columns in budgets]),
    }
    records: list[Record] = [
        {
            "strategy": search.label,
            "seed": search.seed,
            "architecture": str(each.entry),
            f"{kind}_cost": each.cost,
            "cost_share": each.relative_cost,
            name: each.figure,
            "front_architecture": str(each.front),
            f"front_{name}": each.front_figure,
            "regret": each.absolute,
            "regret_share": each.relative,
            **columns,
            "search_epochs_of_largest": search.epochs_of_largest,
            "search_seconds": search.seconds,
            "folder": search.folder.as_posix(),
        }
        for search, each, columns in zip(searches, found, budgets, strict=True)
    ]
    compared = {limit: compare_with_control(regrets, control) for limit, regrets in by_limit.items() if regrets}
    rows = [
        {"limit": limit, **row}
        for limit, comparisons in compared.items()
        for row in comparison_records(comparisons, f"regret_share_{name}")
    ]
    exported = {
        label: [each for search, each in zip(searches, found, strict=True) if search.label == label]
        for label in by_limit[OWN_COST]
    }
    _write(out, {"searches": records, "strategies": rows}, regret_plot(table, exported, compared, kind, name))
    return compared


def _by_strategy(searches: Sequence[ExportedSearch], regrets: Sequence[object]) -> dict[str, dict[int, float]]:
    """Regrets by strategy and seed; without the searches that have none."""
    by_label: dict[str, dict[int, float]] = {}
    for search, share in zip(searches, regrets, strict=True):
        if not isinstance(share, float):
            continue
        values = by_label.setdefault(search.label, {})
        if search.seed in values:
            raise UserError(
                f"{search.folder}: {search.label} has two searches with seed {search.seed}; give one of them another "
                "name with LABEL=FOLDER"
            )
        values[search.seed] = share
    return by_label


def _within_budget(
    table: ArchitectureTable, search: ExportedSearch, at_own_cost: Regret, kind: str, name: str, budget: float | None
) -> Record:
    """Columns on a search's budget: its share, the kind of cost, the share of it above, and the regret within it."""
    used: float | None = at_own_cost.relative_cost
    if budget is None:
        budget, kind, used = search.budget, search.budget_kind or kind, search.budget_used
    if budget is None:
        return dict.fromkeys(("budget_share", "budget_cost", "budget_missed_share", "budget_regret_share"))
    known = kind in table.cost_kinds
    return {
        "budget_share": budget,
        "budget_cost": kind,
        "budget_missed_share": None if used is None else max(0.0, used / budget - 1),
        "budget_regret_share": regret(table, search.entry, kind, name, budget).relative if known else None,
    }


def comparison_records(compared: Sequence[Comparison], unit: str) -> list[Record]:
    """Rows of ``strategies.csv``.

    Parameters
    ----------
    compared
        Comparisons of strategies with the control.
    unit
        Name of the regret, with unit and protocol.
    """
    return [
        {
            "strategy": row.label,
            "seeds": row.seeds,
            unit: row.mean,
            "low": row.interval.low if row.interval else None,
            "high": row.interval.high if row.interval else None,
            "pairs": row.test.n if row.test else None,
            "difference_from_control": row.test.difference if row.test else None,
            "p": row.test.p_value if row.test else None,
            "p_holm": row.p_holm,
            "verdict": row.verdict,
        }
        for row in compared
    ]


def _write(out: Path, tables: dict[str, list[Record]], drawn: Picture) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give the name of a folder with --out")
    for name, records in tables.items():
        write_text(out / f"{name}.csv", records_csv(records))
    write_text(out / f"{drawn.name}.svg", drawn.svg)
    with atomic_write(out / f"{drawn.name}.png") as temporary:
        temporary.write_bytes(drawn.png)
