"""Figure 4: accuracy and cost over the trade-off λ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from easrec_nni.common.readable import readable_count
from easrec_nni.evaluation.metrics import METRICS
from easrec_nni.report.content import Column, Record, Row, Table, mean_entry, number_entry, show_accuracy
from easrec_nni.report.sections import Section

__all__ = ["SWEPT", "sweep_records", "sweep_table"]

SWEPT = "lambda"
FEWEST_SEEDS = 3


def sweep_records(section: Section) -> list[Record]:
    """One record per system and λ of a sweep, λ ascending."""
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
        rankings = dict.fromkeys(("full", section.ranking))
        accuracy = ("ndcg@10_pop100", *(f"{metric}@10_{name}" for name in rankings for metric in METRICS))
        parts = [*(("test", key) for key in accuracy), ("cost", "madds_per_user"), ("cost", "parameters")]
        parts += [("choices", key) for key in ("hidden_pruning", "inner_pruning", "depth")]
        for part, key in parts:
            record |= system.record(part, key)
        records.append(record)
    return sorted(records, key=lambda record: (str(record["system"]), float(record[SWEPT] or 0)))


def _depth(value: float) -> str:
    return f"{value:.1f}"


def sweep_table(records: Sequence[Record], ranking: str = "full") -> Table:
    """Table of the figures in Figure 4."""
    formats: dict[str, tuple[str, Callable[[float], str]]] = {
        f"ndcg@10_{ranking}": (f"NDCG@10 {ranking}", show_accuracy),
        "ndcg@10_pop100": ("NDCG@10 pop100", show_accuracy),
        "madds_per_user": ("multiply-adds per user", readable_count),
        "parameters": ("parameters", readable_count),
        "depth": ("layers", _depth),
        "hidden_pruning": ("hidden pruned", "{:.0%}".format),
        "inner_pruning": ("inner pruned", "{:.0%}".format),
    }
    columns = [Column("seeds", "seeds"), *(Column(key, title) for key, (title, _) in formats.items())]
    several = len({record["system"] for record in records}) > 1
    rows = []
    for record in records:
        entries = {"seeds": number_entry(record, "seeds", "{:.0f}".format)}
        entries |= {key: mean_entry(record, key, show) for key, (_, show) in formats.items()}
        name = f"{record['title']}, λ = {record[SWEPT]:g}" if several else f"λ = {record[SWEPT]:g}"
        rows.append(Row(name, entries))
    notes = ["Means ± standard deviations over seeds."]
    few = [row.name for row, record in zip(rows, records, strict=True) if int(record["seeds"] or 0) < FEWEST_SEEDS]
    if few:
        notes.append(f"Fewer than {FEWEST_SEEDS} seeds, so only a rough indication: {'; '.join(few)}.")
    return Table("Figure 4 as a table", columns, rows, first="trade-off", notes=notes)
