"""Which differences are more than noise: one system against every other, and how far single figures can be trusted."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from easrec_nni.report.accuracy import best_of
from easrec_nni.report.comparing import Comparison, compare
from easrec_nni.report.content import Column, Entry, Record, Row, Table, show_p, signed
from easrec_nni.report.sections import SystemCells

__all__ = ["Noise", "difference_records", "difference_table", "noise_of", "reference_of"]

PROTOCOLS = ("full", "pop100")
REFERENCE = "easrec"


def reference_of(systems: Sequence[SystemCells]) -> SystemCells | None:
    """EASRec; where it was not run, the best by NDCG@10 of full ranking."""
    found = next((system for system in systems if system.name == REFERENCE), None)
    return found or best_of(systems, "ndcg", "full")


def difference_records(reference: SystemCells, systems: Sequence[SystemCells]) -> list[Record]:
    """Of every other system, the reference's NDCG@10 minus its own, for each protocol."""
    others = [system for system in systems if system.name != reference.name]
    found = {protocol: compare(reference, others, "ndcg", protocol) for protocol in PROTOCOLS}
    records = []
    for other in others:
        record: Record = {"system": other.name, "title": other.label, "group": other.first.group}
        for protocol in PROTOCOLS:
            record |= _record(found[protocol].get(other.name), protocol)
        records.append(record)
    return records


def _record(comparison: Comparison | None, protocol: str) -> Record:
    keys = [f"{key}_{protocol}" for key in ("difference", "low", "high", "p", "effect", "verdict")]
    if comparison is None:
        return {**dict.fromkeys(keys), f"verdict_{protocol}": "not tested"}
    verdict = "cannot be told apart"
    if comparison.is_distinguishable:
        verdict = "better" if comparison.difference > 0 else "worse"
    values = (comparison.difference, comparison.low, comparison.high, comparison.p, comparison.effect, verdict)
    return dict(zip(keys, values, strict=True))


def _entries(record: Record, protocol: str) -> dict[str, Entry]:
    difference, low, high, p, effect = (
        record[f"{key}_{protocol}"] for key in ("difference", "low", "high", "p", "effect")
    )
    interval = Entry("–")
    if isinstance(difference, float) and isinstance(low, float) and isinstance(high, float):
        interval = Entry(signed(difference), difference, f"{signed(low)} to {signed(high)}")
    return {
        f"difference_{protocol}": interval,
        f"p_{protocol}": Entry(show_p(p), p) if isinstance(p, float) else Entry("–"),
        f"effect_{protocol}": Entry(f"{effect:+.2f}".replace("-", "−"), effect)
        if isinstance(effect, float)
        else Entry("–"),
        f"verdict_{protocol}": Entry(str(record[f"verdict_{protocol}"])),
    }


def difference_table(reference: SystemCells, records: Sequence[Record], notes: Sequence[str]) -> Table:
    """The reference against every other system."""
    columns = []
    for protocol in PROTOCOLS:
        group = f"NDCG@10 {protocol}"
        columns += [
            Column(f"difference_{protocol}", "difference, 95 % interval", group),
            Column(f"p_{protocol}", "p, corrected", group),
            Column(f"effect_{protocol}", "effect size", group),
            Column(f"verdict_{protocol}", f"{reference.label} is", group),
        ]
    rows = [
        Row(
            str(record["title"]),
            {key: entry for protocol in PROTOCOLS for key, entry in _entries(record, protocol).items()},
            str(record["group"]),
            str(record["system"]),
        )
        for record in records
    ]
    return Table(f"{reference.label} against each other system", columns, rows, first="other system", notes=notes)


@dataclass(frozen=True)
class Noise:
    """How far figures of a section can be trusted.

    Attributes
    ----------
    users
        Test users.
    error, mean
        Standard error over these users of the best system's NDCG@10 of full ranking, and that figure.
    interval
        Half the width of a 95 % interval of the difference between two systems, in the middle of all comparisons; None
        if none was possible.
    """

    users: int
    error: float
    mean: float
    interval: float | None

    @property
    def share(self) -> float:
        """Standard error as a share of the figure."""
        return self.error / self.mean if self.mean else 0.0


def noise_of(systems: Sequence[SystemCells], records: Sequence[Record]) -> Noise | None:
    """What chance does to NDCG@10 of full ranking; None where ranks are not known."""
    best = best_of(systems, "ndcg", "full")
    error = best.user_error("ndcg", "full") if best else None
    measure = best.measure("test", "ndcg@10_full") if best else None
    if best is None or error is None or measure is None:
        return None
    users = len(next(iter(best.gains("ndcg", "full").values())))
    widths = [
        (float(record["high_full"] or 0) - float(record["low_full"] or 0)) / 2
        for record in records
        if record["low_full"] is not None
    ]
    return Noise(users, error, measure.mean, statistics.median(widths) if widths else None)
