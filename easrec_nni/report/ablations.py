"""Table V and the other ablations: EASRec with one change each, compared with EASRec."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.common.readable import readable_count
from easrec_nni.evaluation.metrics import METRICS
from easrec_nni.report.beside_published import beside_published
from easrec_nni.report.comparing import compare, is_significant
from easrec_nni.report.content import (
    Column,
    Entry,
    Record,
    Row,
    Table,
    mark_best,
    mean_entry,
    number_entry,
    show_accuracy,
    show_p,
    signed,
)
from easrec_nni.report.published import FALLBACK, PUBLISHED_GATES, PUBLISHED_PROTOCOL
from easrec_nni.report.sections import RANKINGS, Section, SystemCells
from easrec_nni.study.systems.ablations import FIXED_GATES

__all__ = [
    "GATES",
    "ablation_records",
    "ablation_systems",
    "ablation_table",
    "fixed_gate_records",
    "fixed_gate_table",
    "gate_records",
    "gate_table",
    "published_gate_table",
]

REFERENCE = "easrec"
TITLES = ("Recall@10", "MRR@10", "NDCG@10")
GATES = {"easrec": "gates of 2 layers", "easrec-gates1": "gates of 1 layer", "easrec-gates0": "no gates"}
FIXED = tuple(system.name for system in FIXED_GATES)


def _figures(section: Section, system: SystemCells) -> Record:
    """Figures of a system in both tables; those of the validation set begin with ``valid_``."""
    record: Record = {
        "dataset": section.dataset.title,
        "system": system.name,
        "title": system.label,
        "seeds": len(system.cells),
    }
    protocols = tuple(dict.fromkeys(("pop100", PUBLISHED_PROTOCOL, "full", section.ranking)))
    figures = [("valid", f"{metric}@10_{protocol}") for protocol in protocols for metric in METRICS]
    figures += [
        *(("test", f"ndcg@10_{protocol}") for protocol in protocols),
        ("cost", "madds_per_user"),
        ("cost", "parameters"),
    ]
    for part, key in figures:
        record |= system.record(part, key, key if part == "cost" else f"{part}_{key}")
    return record


def _against_reference(reference: SystemCells, systems: Sequence[SystemCells], ranking: str) -> dict[str, Record]:
    """Change of the test NDCG@10 by system; empty where it cannot be tested."""
    changes: dict[str, Record] = {}
    for name, comparison in compare(reference, tuple(systems), "ndcg", ranking).items():
        users = comparison.users_interval
        changes[name] = {
            "change": -comparison.difference,
            "change_low": -users.high if users else None,
            "change_high": -users.low if users else None,
            "change_p": comparison.p_holm,
            "change_is_told_apart": is_significant(comparison),
        }
    return changes


def gate_records(section: Section) -> list[Record]:
    """Records of Table V: gates of 2 layers, 1 layer, none; empty if gates were not varied."""
    systems = [system for name in GATES if (system := section.system(name))]
    if len(systems) < 2:
        return []
    records = _with_changes(section, systems)
    for record in records:
        published = PUBLISHED_GATES.get(str(record["system"]), (None, None, None))
        record["gates"] = GATES[str(record["system"])]
        for metric, value in zip(METRICS, published, strict=True):
            record[f"published_{metric}@10"] = value
    return records


def ablation_systems(section: Section) -> list[SystemCells]:
    """EASRec and its ablations, except those shown in the tables of gates."""
    elsewhere = {*GATES, *FIXED} - {"unpruned"}
    return [
        system
        for system in section.systems
        if system.name == REFERENCE or (system.first.group == "ablation" and system.name not in elsewhere)
    ]


def ablation_records(section: Section) -> list[Record]:
    """Records of the ablations; empty if there are none."""
    systems = ablation_systems(section)
    return _with_changes(section, systems) if len(systems) > 1 else []


def fixed_gate_records(section: Section) -> list[Record]:
    """Records of fixed networks by their gates; empty if gates were not varied."""
    systems = [system for name in FIXED if (system := section.system(name))]
    return _with_changes(section, systems, FIXED[0]) if len(systems) > 1 else []


def _with_changes(section: Section, systems: Sequence[SystemCells], name: str = REFERENCE) -> list[Record]:
    reference = section.system(name)
    changes = {}
    if reference:
        others = [system for system in systems if system.name != name]
        changes = _against_reference(reference, others, section.ranking)
    unknown = dict.fromkeys(("change", "change_low", "change_high", "change_p", "change_is_told_apart"))
    return [_figures(section, system) | changes.get(system.name, unknown) for system in systems]


def _change_entry(record: Record) -> Entry:
    change, low, high, p = (record[key] for key in ("change", "change_low", "change_high", "change_p"))
    if not (isinstance(change, float) and isinstance(low, float) and isinstance(high, float)):
        return Entry("–")
    shown = f", p {show_p(p)}" if isinstance(p, float) else ", one seed"
    marked = record["change_is_told_apart"] is True
    return Entry(signed(change), change, f"{signed(low)} to {signed(high)}{shown}", star=marked)


CHANGE_NOTE = (
    "Change: difference to {reference} of the test NDCG@10, {ranking}; below it the 95 % interval over users, and p "
    "over seeds, corrected for the number of rows. ★: significant over seeds and over users. Without it the change may "
    "be due to chance."
)
NO_GATES_NOTE = (
    "Gates begin at layer 2 unless the settings say otherwise, so that a network of one layer has none, and the "
    "constraint favours it: where searches end there these rows say nothing about gates. Fixed networks of at least "
    "two layers do (`easrec reproduce gates`)."
)
_COST = Column("madds_per_user", "multiply-adds per user", "cost", False)


def _change(ranking: str, reference: str = "EASRec") -> Column:
    return Column("change", f"change to {reference}, NDCG@10 {ranking}", "test set")


def _change_note(ranking: str, reference: str = "EASRec") -> str:
    return CHANGE_NOTE.format(reference=reference, ranking=RANKINGS[ranking])


def _rows(records: Sequence[Record], columns: Sequence[Column], names: str) -> list[Row]:
    rows = []
    for record in records:
        entries = {}
        for column in columns:
            if column.key == "change":
                entries[column.key] = _change_entry(record)
            elif column.key == "seeds":
                entries[column.key] = number_entry(record, "seeds", "{:.0f}".format)
            else:
                entries[column.key] = mean_entry(
                    record, column.key, readable_count if column is _COST else show_accuracy
                )
        rows.append(Row(str(record[names]), entries, hint=str(record["system"])))
    return mark_best(columns, rows)


def _gate_columns(change: Column, ranking: str) -> list[Column]:
    return [
        *(
            Column(f"valid_{m}@10_pop100", title, "validation set, pop100", True)
            for m, title in zip(METRICS, TITLES, strict=True)
        ),
        Column(f"valid_ndcg@10_{ranking}", "NDCG@10", f"validation, {ranking}", True),
        change,
        _COST,
        Column("seeds", "seeds"),
    ]


def fixed_gate_table(records: Sequence[Record], ranking: str = "full") -> Table:
    """Table of the gates of fixed networks."""
    columns = _gate_columns(_change(ranking, "no gates"), ranking)
    note = _change_note(ranking, "the network without gates")
    return Table("Gates without a search", columns, _rows(records, columns, "title"), first="network", notes=[note])


def gate_table(records: Sequence[Record], ranking: str = "full") -> Table:
    """Table V: the data-aware gates."""
    note = (
        "As in the paper, figures of the validation set. Half of its users trained α and β, so test figures decide "
        f"whether gates help. {NO_GATES_NOTE}"
    )
    columns = _gate_columns(_change(ranking), ranking)
    rows = _rows(records, columns, "gates")
    return Table(
        "Table V: the data-aware gates", columns, rows, first="EASRec with", notes=[note, _change_note(ranking)]
    )


def published_gate_table(section: Section, records: Sequence[Record]) -> Table | None:
    """Our validation figures with those of the paper's Table V; None if either is missing."""
    ours = f"ours, {section.dataset.title}, validation set, {PUBLISHED_PROTOCOL}"
    columns = [
        *(Column(f"valid_{m}@10_{PUBLISHED_PROTOCOL}", title, ours) for m, title in zip(METRICS, TITLES, strict=True)),
        *(
            Column(f"published_{m}@10", title, f"published, {FALLBACK}, validation set", published=True)
            for m, title in zip(METRICS, TITLES, strict=True)
        ),
    ]
    return beside_published(
        "Gates beside the published figures",
        records,
        columns,
        lambda record, key: mean_entry(record, key, show_accuracy),
        first="EASRec with",
        names="gates",
    )


def ablation_table(records: Sequence[Record], ranking: str = "full") -> Table:
    """Table of EASRec with one change each."""
    columns = [
        Column(f"test_ndcg@10_{ranking}", f"NDCG@10 {ranking}", "test set", True),
        Column("test_ndcg@10_pop100", "NDCG@10 pop100", "test set", True),
        _change(ranking),
        _COST,
        Column("seeds", "seeds"),
    ]
    rows = _rows(records, columns, "title")
    return Table("EASRec with one thing changed", columns, rows, first="variant", notes=[_change_note(ranking)])
