"""Table III: accuracy of all systems, best in bold, a star where it is significantly better than every other."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.evaluation.figures import LATER_PROTOCOLS, PROTOCOLS
from easrec_nni.evaluation.metrics import METRICS
from easrec_nni.report.beside_published import beside_published
from easrec_nni.report.comparing import compare, is_tested
from easrec_nni.report.content import Column, Entry, Record, Row, Table, mark_best, mean_entry, number_entry
from easrec_nni.report.published import PUBLISHED_PROTOCOL, published_for
from easrec_nni.report.sections import Section, SystemCells

__all__ = [
    "accuracy_records",
    "accuracy_table",
    "best_of",
    "compared_systems",
    "published_table",
    "recommended_table",
]

TITLES = {"recall": "Recall@10", "mrr": "MRR@10", "ndcg": "NDCG@10"}
FURTHER = ("coverage@10_full", "mean_popularity@10_full")
PROTOCOL_TITLES = {
    "full": "among all items (full)",
    "pop100": "against 100 popular items (pop100)",
    "unseen": "among all items but those that the user had (unseen)",
    "pop100_recbole": "against 100 popular items as RecBole draws them (pop100_recbole)",
    "uni100": "against 100 random items (uni100)",
}


def compared_systems(section: Section) -> list[SystemCells]:
    """Systems of Table III: all but EASRec's ablations, which have a table of their own."""
    return [system for system in section.systems if system.first.group != "ablation"]


def best_of(systems: Sequence[SystemCells], metric: str, protocol: str) -> SystemCells | None:
    """System with the highest mean of a metric on the test set; the first of equal ones."""
    key = f"{metric}@10_{protocol}"
    means = [(system, system.measure("test", key)) for system in systems]
    known = [(system, measure.mean) for system, measure in means if measure]
    return max(known, key=lambda pair: pair[1])[0] if known else None


def _star(systems: Sequence[SystemCells], metric: str, protocol: str) -> str | None:
    """Name of the system that is better than the next best by more than chance, if there is one."""
    best = best_of(systems, metric, protocol)
    if best is None:
        return None
    others = tuple(system for system in systems if system is not best)
    comparisons = compare(best, others, metric, protocol)
    # Where one could not be tested nobody knows who is next.
    tested = all(is_tested(comparisons.get(other.name)) for other in others)
    return best.name if tested and any(each.star for each in comparisons.values()) else None


def accuracy_records(section: Section) -> list[Record]:
    """One record for each system, with all digits and the published figures."""
    systems = compared_systems(section)
    stars = {
        f"{metric}@10_{protocol}": _star(systems, metric, protocol) for protocol in PROTOCOLS for metric in METRICS
    }
    published_name, published = published_for(section.dataset.name)
    records = []
    for system in systems:
        record = section.identity(system)
        for key in (*(f"{metric}@10_{protocol}" for protocol in PROTOCOLS for metric in METRICS), *FURTHER):
            record |= system.record("test", key)
            if key not in FURTHER:
                record[f"{key}_star"] = stars[key] == system.name
        record["ndcg@10_full_standard_error_users"] = system.user_error("ndcg", "full")
        row = published.get(system.name)
        record["published_dataset"] = published_name if row else None
        for metric, value in zip(METRICS, row.test if row else (None, None, None), strict=True):
            record[f"published_{metric}@10"] = value
        records.append(record)
    return records


def _show(value: float) -> str:
    return f"{value:.4f}"


def accuracy_table(records: Sequence[Record]) -> Table:
    """Table III of a section."""
    columns = [
        Column(f"{metric}@10_{protocol}", TITLES[metric], PROTOCOL_TITLES[protocol], True)
        for protocol in PROTOCOLS
        for metric in METRICS
        if protocol not in LATER_PROTOCOLS or any(record[f"{metric}@10_{protocol}"] is not None for record in records)
    ]
    rows = [
        Row(
            str(record["title"]),
            {column.key: mean_entry(record, column.key, _show) for column in columns},
            str(record["group"]),
            str(record["system"]),
        )
        for record in records
    ]
    seeds = sorted({int(record["seeds"] or 0) for record in records})
    number = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    notes = [
        f"Test set, mean ± standard deviation over {number} seed{'' if seeds == [1] else 's'}. Bold: highest mean of "
        "the column. ★: better than the next best system by more than chance, over seeds (p < 0.05, corrected for the "
        "number of systems) and over users."
    ]
    if len(seeds) > 1:
        fewer = [f"{record['title']} ({record['seeds']})" for record in records if record["seeds"] != seeds[-1]]
        notes.append(f"Fewer seeds than {seeds[-1]}: {', '.join(fewer)}.")
    return Table("Table III: accuracy of every system", columns, mark_best(columns, rows), notes=notes)


def published_table(section: Section, records: Sequence[Record]) -> Table | None:
    """Test figures of ours beside those of the paper's Table III; None where one of the two is not known."""
    name, _ = published_for(section.dataset.name)
    ours = f"ours, {section.dataset.title}, {PUBLISHED_PROTOCOL}"
    columns = [
        *(Column(f"{metric}@10_{PUBLISHED_PROTOCOL}", TITLES[metric], ours) for metric in METRICS),
        *(Column(f"published_{metric}@10", TITLES[metric], f"published, {name}", published=True) for metric in METRICS),
    ]
    return beside_published(
        "Beside the published figures, test set", records, columns, lambda record, key: mean_entry(record, key, _show)
    )


def recommended_table(records: Sequence[Record]) -> Table | None:
    """What is recommended beyond hits: coverage and popularity; None if it was not recorded."""
    if not any(record.get(key) is not None for record in records for key in FURTHER):
        return None
    columns = [
        Column(FURTHER[0], "share of the catalogue that is recommended to anybody"),
        Column(FURTHER[1], "mean training interactions of a recommended item"),
        Column("seeds", "seeds"),
    ]
    shows = ("{:.1%}".format, "{:,.1f}".format)
    rows = []
    for record in records:
        entries: dict[str, Entry] = {
            key: mean_entry(record, key, show) for key, show in zip(FURTHER, shows, strict=True)
        }
        entries["seeds"] = number_entry(record, "seeds", "{:.0f}".format)
        rows.append(Row(str(record["title"]), entries, str(record["group"]), str(record["system"])))
    note = (
        "Of the ten items that each test user is recommended, full ranking. Neither more nor less is better in itself."
    )
    return Table("What is recommended", columns, rows, notes=[note])
