"""Figure 4: accuracy and cost over the trade-off λ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from easrec_nni.common.readable import readable_count
from easrec_nni.report.content import Column, Record, Row, Table, mean_entry, number_entry
from easrec_nni.report.sections import Section

__all__ = ["SWEPT", "sweep_records", "sweep_table"]

SWEPT = "lambda"
FEWEST_SEEDS = 3
ACCURACY = ("ndcg@10_full", "ndcg@10_pop100", "recall@10_full", "mrr@10_full")


def sweep_records(section: Section) -> list[Record]:
    """One record for each system and λ of a sweep, λ ascending."""
    records = []
    for system in section.all_systems:
        value = system.parameters.get(SWEPT)
        if set(system.parameters) != {SWEPT} or isinstance(value, str | bool | None):
            continue
        record: Record = {
            "dataset": section.dataset.title,
            "system": system.name,
            "title": system.first.title,
            SWEPT: float(value),
            "seeds": len(system.cells),
        }
        parts = [*(("test", key) for key in ACCURACY), ("cost", "madds_per_user"), ("cost", "parameters")]
        parts += [("choices", key) for key in ("hidden_pruning", "inner_pruning", "depth")]
        for part, key in parts:
            record |= system.record(part, key)
        records.append(record)
    return sorted(records, key=lambda record: (str(record["system"]), float(record[SWEPT] or 0)))


def _accuracy(value: float) -> str:
    return f"{value:.4f}"


def _depth(value: float) -> str:
    return f"{value:.1f}"


def sweep_table(records: Sequence[Record]) -> Table:
    """The figures of Figure 4."""
    shown: dict[str, tuple[str, Callable[[float], str]]] = {
        "ndcg@10_full": ("NDCG@10 full", _accuracy),
        "ndcg@10_pop100": ("NDCG@10 pop100", _accuracy),
        "madds_per_user": ("multiply-adds per user", readable_count),
        "parameters": ("parameters", readable_count),
        "depth": ("layers", _depth),
        "hidden_pruning": ("hidden pruned", "{:.0%}".format),
        "inner_pruning": ("inner pruned", "{:.0%}".format),
    }
    columns = [Column("seeds", "seeds"), *(Column(key, title) for key, (title, _) in shown.items())]
    several = len({record["system"] for record in records}) > 1
    rows = []
    for record in records:
        entries = {"seeds": number_entry(record, "seeds", "{:.0f}".format)}
        entries |= {key: mean_entry(record, key, show) for key, (_, show) in shown.items()}
        name = f"{record['title']}, λ = {record[SWEPT]:g}" if several else f"λ = {record[SWEPT]:g}"
        rows.append(Row(name, entries))
    notes = ["Means ± standard deviations over seeds."]
    few = [row.name for row, record in zip(rows, records, strict=True) if int(record["seeds"] or 0) < FEWEST_SEEDS]
    if few:
        notes.append(f"Fewer than {FEWEST_SEEDS} seeds, so hardly more than an impression: {'; '.join(few)}.")
    return Table("Figure 4 as a table", columns, rows, first="trade-off", notes=notes)
