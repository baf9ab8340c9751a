"""Table IV: inference and training cost of every system."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from easrec_nni.common.readable import readable_bytes, readable_count, readable_seconds
from easrec_nni.report.beside_published import beside_published
from easrec_nni.report.content import Column, Entry, Record, Row, Table, mark_best, mean_entry, number_entry
from easrec_nni.report.published import published_for
from easrec_nni.report.sections import Section
from easrec_nni.study.documents import EfficiencyDocument, EfficiencyRow, Spread

__all__ = ["MEASURED", "cost_records", "cost_table", "published_cost_table"]

COUNTED = ("madds_per_user", "executed_madds_per_user", "executed_madds_per_user_on_histories", "parameters")
PREDICTED = "latency_ms_per_user"

BUSY = 0.3  # load per core above which a measurement gets a warning

MEASURED = (
    "inference_seconds_test_set",
    "inference_processor_seconds_test_set",
    "inference_ms_per_user",
    "latency_ms_batch1",
)


def _plain(value: float) -> str:
    """Number with three significant digits."""
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if value >= 0.001 else f"{value:.1e}"


SHOW: dict[str, Callable[[float], str]] = {
    **dict.fromkeys(MEASURED, _plain),
    "peak_memory_bytes": readable_bytes,
    **dict.fromkeys(COUNTED, readable_count),
    PREDICTED: _plain,
    "bytes_on_disk": readable_bytes,
    "making_seconds": readable_seconds,
}


def cost_records(section: Section) -> list[Record]:
    """One record per system, with all digits; None for what was not measured."""
    _, published = published_for(section.dataset.name)
    records = []
    for system in section.systems:
        record = section.identity(system)
        record |= _measured(section.efficiency(system))
        for part, key in (
            *(("cost", key) for key in (*COUNTED, PREDICTED)),
            *(("training", key) for key in ("retrain_seconds", "search_seconds")),
        ):
            record |= system.record(part, key)
        if not any(cell.result.choices for cell in system.cells):
            record |= {"search_seconds": None, "search_seconds_sd": None}  # no search, rather than a quick one
        record["making_seconds"] = sum(
            float(seconds) for key in ("search_seconds", "retrain_seconds") if (seconds := record[key]) is not None
        )
        # An untrained baseline stores nothing: it has no size, rather than the smallest.
        sizes = [cell.result.bytes_on_disk for cell in system.cells if cell.result.bytes_on_disk]
        record["bytes_on_disk"] = statistics.fmean(sizes) if sizes else None
        row = published.get(system.name)
        record |= {
            "published_inference_seconds": row.inference_seconds if row else None,
            "published_gpu_gigabytes": row.gpu_gigabytes if row else None,
        }
        records.append(record)
    return records


def _measured(rows: Sequence[EfficiencyRow]) -> Record:
    """Measurements of a system: median over its measured seeds, and total range."""
    record: Record = {}
    for key in MEASURED:
        spreads: list[Spread] = _present(rows, key)
        record[key] = _median_or_none([spread.median for spread in spreads])
        record[f"{key}_min"] = min((spread.min for spread in spreads), default=None)
        record[f"{key}_max"] = max((spread.max for spread in spreads), default=None)
    record["peak_memory_bytes"] = _median_or_none(_present(rows, "peak_memory_bytes"))
    record["own_peak_memory_bytes"] = _median_or_none(_own_peaks(rows))
    record["measured_seeds"] = " ".join(str(row.seed) for row in rows) or None
    batches = set(_present(rows, "throughput_batch"))
    record["throughput_batch"] = batches.pop() if len(batches) == 1 else None
    return record


def _present(rows: Sequence[EfficiencyRow], key: str) -> list[Any]:
    """Values of a field that are not None."""
    return [value for row in rows if (value := getattr(row, key)) is not None]


def _own_peaks(rows: Sequence[EfficiencyRow]) -> list[float]:
    """Peak memory of each process minus that of its imports, in bytes."""
    pairs = [(row.peak_memory_bytes, row.baseline_peak_memory_bytes) for row in rows]
    return [peak - baseline for peak, baseline in pairs if peak is not None and baseline is not None]


def _median_or_none(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _columns(records: Sequence[Record]) -> list[Column]:
    batches = {record["throughput_batch"] for record in records} - {None}
    batch = f"batch of {batches.pop()}" if len(batches) == 1 else "in batches"
    return [
        Column("inference_seconds_test_set", "test set, s", "inference, measured", False),
        Column("inference_ms_per_user", f"{batch}, ms per user", "inference, measured", False),
        Column("latency_ms_batch1", "one user, ms", "inference, measured", False),
        Column("peak_memory_bytes", "peak memory", "inference, measured", False),
        Column(PREDICTED, "ms per user, by a latency file", "inference, predicted", False),
        Column("madds_per_user", "multiply-adds per user", "size, counted", False),
        Column("executed_madds_per_user", "of these executed", "size, counted", False),
        Column("executed_madds_per_user_on_histories", "executed on histories", "size, counted", False),
        Column("parameters", "parameters", "size, counted", False),
        Column("bytes_on_disk", "on disk", "size, counted", False),
        Column("making_seconds", "search and training"),
    ]


def _entry(record: Record, key: str) -> Entry:
    if key.startswith("published_"):
        return number_entry(record, key, lambda value: f"{value:g}")
    entry = mean_entry(record, key, SHOW[key])
    network_bytes = record["own_peak_memory_bytes"]
    if key == "peak_memory_bytes" and isinstance(network_bytes, int | float):
        return replace(entry, spread=f"its own {readable_bytes(network_bytes)}")
    low, high = record.get(f"{key}_min"), record.get(f"{key}_max")
    if isinstance(low, float) and isinstance(high, float):
        return replace(entry, spread=f"{_plain(low)} to {_plain(high)}")
    search = record["search_seconds"]
    if key == "making_seconds" and isinstance(search, float):
        return replace(entry, spread=f"search {readable_seconds(search)}")
    return entry


def cost_table(section: Section, records: Sequence[Record]) -> Table:
    """Table IV of a section, without empty columns."""
    columns = [column for column in _columns(records) if any(record.get(column.key) is not None for record in records)]
    rows = [
        Row(
            str(record["title"]),
            {column.key: _entry(record, column.key) for column in columns},
            str(record["group"]),
            str(record["system"]),
        )
        for record in records
    ]
    return Table("Table IV: cost of every system", columns, mark_best(columns, rows), notes=_notes(section, records))


def published_cost_table(section: Section, records: Sequence[Record]) -> Table | None:
    """Our measurements with those of the paper's Table IV; None if either is missing."""
    name, _ = published_for(section.dataset.name)
    ours, published = f"ours, {section.dataset.title}, this machine", f"published, {name}, an unnamed GPU"
    columns = [
        Column("inference_seconds_test_set", "test set, s", ours),
        Column("peak_memory_bytes", "peak memory", ours),
        Column("published_inference_seconds", "test set, s", published, published=True),
        Column("published_gpu_gigabytes", "GPU memory, GB", published, published=True),
    ]
    return beside_published("Beside the published costs", records, columns, _entry)


def _notes(section: Section, records: Sequence[Record]) -> list[str]:
    notes = [
        "A multiply-add is one multiplication and one addition; twice the number would be FLOPs. They are counted for "
        "one user with a history of full length, scoring of the whole catalogue included. “Of these executed” leaves "
        "out what the program skips, such as positions of the last layer that are not needed. “Executed on histories” "
        "counts the same on the histories before the test targets, at their own lengths: the mean over the users.",
        "Search and training times are wall clock of the cells as they ran, possibly several at a time on one machine: "
        "they show what a study costs, and do not measure speed.",
    ]
    measured = [record for record in records if any(record[key] is not None for key in MEASURED)]
    machines = [study.efficiency for study in section.studies if study.efficiency]
    if not measured:
        notes.append(
            "Inference was not measured: there is no efficiency.json. Run the same “easrec reproduce” again without "
            "--no-measure, with nothing else running."
        )
    else:
        seeds = sorted({str(record["measured_seeds"]) for record in measured})
        notes.append(
            f"Inference was measured with the network of seed {' or '.join(seeds)}; sizes are means ± standard "
            "deviations over all seeds, whose networks may differ. Of the peak memory “its own” is what the network "
            "and its work took beyond a process that only loaded the libraries."
        )
    if 0 < len(measured) < len(records):
        missing = ", ".join(str(record["title"]) for record in records if record not in measured)
        notes.append(f"Inference was not measured for: {missing}.")
    return notes + [note for document in machines for note in _machine_notes(document)]


def _machine_notes(document: EfficiencyDocument) -> list[str]:
    about = "; ".join(
        f"{name.removesuffix('_bytes')}: {_fact(name, value)}" for name, value in document.machine.items()
    )
    threads = f"{document.threads} thread{'s' if document.threads != 1 else ''}" if document.threads else "all threads"
    repeats = f"{document.repeats} repeats" if document.repeats else "the repeats"
    notes = [f"Measured after warm-up, median and range of {repeats}, {threads}, in alternation. {about}".strip()]
    before = document.load_average.get("before", [])
    cores = document.machine.get("cores")
    if before and isinstance(cores, int) and before[0] > BUSY * cores:
        notes.append(
            f"The machine was not idle: {before[0]:g} processes on {cores} core{'s' if cores != 1 else ''} in the "
            "minute before. Times are longer and less exact than on an idle machine."
        )
    return notes


def _fact(name: str, value: object) -> str:
    return readable_bytes(value) if name.endswith("_bytes") and isinstance(value, int | float) else str(value)
