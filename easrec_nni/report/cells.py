"""``results.csv``: one row per cell, with every figure and all digits."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from easrec_nni.report.content import Record
from easrec_nni.report.costs import MEASURED
from easrec_nni.report.sections import Section

__all__ = ["cell_records", "records_csv"]


def cell_records(section: Section) -> list[Record]:
    """Flat record of each cell, with keys such as ``test_ndcg@10_full`` and ``budget_patience``."""
    measured = {
        (row.system, row.seed, json.dumps(row.parameters, sort_keys=True)): row
        for study in section.studies
        if study.efficiency
        for row in study.efficiency.rows
    }
    records = []
    for cell in (cell for system in section.all_systems for cell in system.cells):
        result = cell.result
        record: Record = {
            "dataset": result.dataset.title,
            "fingerprint": result.dataset.fingerprint,
            "system": result.system,
            "title": result.title,
            "group": result.group,
            "seed": result.seed,
            "cell_parameters": json.dumps(result.parameters, sort_keys=True),
        }
        for part in ("test", "valid", "valid_selection_users", "cost", "choices", "budget", "training"):
            prefix = "" if part in ("cost", "choices") else f"{part}_"
            record |= {f"{prefix}{key}": value for key, value in (getattr(result, part) or {}).items()}
        record |= {f"test_{key}": value for key, value in result.test_refitted.items()}  # keys end in _refitted
        record["bytes_on_disk"] = result.bytes_on_disk
        row = measured.get((result.system, result.seed, json.dumps(result.parameters, sort_keys=True)))
        for key in MEASURED:
            spread = getattr(row, key, None)
            for name in ("median", "min", "max"):
                record[f"{key}_{name}"] = getattr(spread, name, None)
        record["throughput_batch"] = row.throughput_batch if row else None
        for key in ("peak_memory_bytes", "baseline_peak_memory_bytes"):
            record[key] = getattr(row, key, None)
        record |= {"commit": result.commit, "written": result.written}
        records.append(record)
    return records


def records_csv(records: Sequence[Record]) -> str:
    """Records as CSV; columns in order of first appearance, missing values empty.

    Examples
    --------
    >>> print(records_csv([{"system": "a", "x": 0.1}, {"system": "b", "y": None}]), end="")
    system,x,y
    a,0.1,
    b,,
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue()
