"""Accuracy after a refit, apart from that of validated networks."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.evaluation.figures import PROTOCOLS, REFITTED
from easrec_nni.evaluation.metrics import METRICS
from easrec_nni.report.accuracy import PROTOCOL_TITLES, TITLES
from easrec_nni.report.content import Column, Record, Row, Table, mark_best, mean_entry, show_accuracy
from easrec_nni.report.sections import Section

__all__ = ["refitted_records", "refitted_table"]

KEYS = {f"{metric}@10_{protocol}{REFITTED}": (metric, protocol) for protocol in PROTOCOLS for metric in METRICS}


def refitted_records(section: Section) -> list[Record]:
    """Record of each refitted system, with all digits; empty for a study without refits.

    A figure is None if some seeds of the system were not refitted: ``seeds_refitted`` counts those that were.
    """
    records = []
    for system in section.systems:
        seeds = sum(bool(cell.result.test_refitted) for cell in system.cells)
        if seeds:
            record = section.identity(system) | {f"seeds{REFITTED}": seeds}
            for key in KEYS:
                record |= system.record("test_refitted", key)
            records.append(record)
    return records


def refitted_table(records: Sequence[Record]) -> Table:
    """Table of the refitted systems of a section."""
    columns = [
        Column(key, TITLES[metric], PROTOCOL_TITLES[protocol], True)
        for key, (metric, protocol) in KEYS.items()
        if any(record[key] is not None for record in records)
    ]
    rows = [
        Row(
            str(record["title"]),
            {column.key: mean_entry(record, column.key, show_accuracy) for column in columns},
            str(record["group"]),
            str(record["system"]),
        )
        for record in records
    ]
    notes = ["Test set after the refit, mean ± standard deviation over seeds. Bold: highest mean of the column."]
    partial = [
        f"{record['title']} ({record[f'seeds{REFITTED}']} of {record['seeds']} seeds)"
        for record in records
        if record[f"seeds{REFITTED}"] != record["seeds"]
    ]
    if partial:
        notes.append(f"Not refitted with every seed, so without a mean: {', '.join(partial)}.")
    return Table("Refitted: accuracy of every system", columns, mark_best(columns, rows), notes=notes)
