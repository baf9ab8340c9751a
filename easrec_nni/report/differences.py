"""Differences between one system and every other, and the noise of single figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from easrec_nni.report.accuracy import best_of
from easrec_nni.report.comparing import Comparison, Interval, compare, is_significant, is_tested
from easrec_nni.report.content import Column, Entry, Record, Row, Table, show_p, signed
from easrec_nni.report.sections import RANKINGS, SystemCells

__all__ = ["PROTOCOLS", "Noise", "difference_records", "difference_table", "noise_of", "reference_of"]

PROTOCOLS = {**RANKINGS, "pop100": "pop100", "pop100_recbole": "pop100_recbole"}
REFERENCE = "easrec"


def reference_of(systems: Sequence[SystemCells], ranking: str) -> SystemCells | None:
    """EASRec or, if it was not run, the best system by NDCG@10 of a ranking."""
    reference = next((system for system in systems if system.name == REFERENCE), None)
    return reference or best_of(systems, "ndcg", ranking)


def difference_records(reference: SystemCells, systems: Sequence[SystemCells]) -> list[Record]:
    """Records of the reference's NDCG@10 minus that of every other system, by protocol."""
    others = tuple(system for system in systems if system is not reference)
    comparisons = {protocol: compare(reference, others, "ndcg", protocol) for protocol in PROTOCOLS}
    records = []
    for other in others:
        record: Record = {"system": other.name, "title": other.label, "group": other.first.group}
        for protocol in PROTOCOLS:
            entries = _record(comparisons[protocol].get(other.name))
            record |= {f"{key}_{protocol}": value for key, value in entries.items()}
        records.append(record)
    return records


def _record(comparison: Comparison | None) -> Record:
    if comparison is None:
        keys = ("difference", "relative_percent", "users_low", "users_high", "seeds_low", "seeds_high", "p", "effect")
        return {**dict.fromkeys(keys), "seeds": None, "verdict": "not tested"}
    verdict = "not tested: too few seeds"
    if is_significant(comparison):
        verdict = "better" if comparison.difference > 0 else "worse"
    elif is_tested(comparison):
        verdict = "cannot be told apart"
    return {
        "difference": comparison.difference,
        "relative_percent": comparison.relative_percent,
        **_interval("users", comparison.users_interval),
        **_interval("seeds", comparison.seeds_interval),
        "p": comparison.p_holm,
        "effect": comparison.effect_size,
        "seeds": comparison.seeds,
        "verdict": verdict,
    }


def _interval(name: str, interval: Interval | None) -> Record:
    return {f"{name}_low": interval.low if interval else None, f"{name}_high": interval.high if interval else None}


def _interval_entry(record: Record, name: str, protocol: str) -> Entry:
    low, high = record[f"{name}_low_{protocol}"], record[f"{name}_high_{protocol}"]
    if not isinstance(low, float) or not isinstance(high, float):
        return Entry("–")
    return Entry(f"{signed(low)} to {signed(high)}")


def _entries(record: Record, protocol: str) -> dict[str, Entry]:
    difference, percent, p, effect = (
        record[f"{key}_{protocol}"] for key in ("difference", "relative_percent", "p", "effect")
    )
    relative = f"{percent:+.1f} %".replace("-", "−") if isinstance(percent, float) else ""
    return {
        "difference": (
            Entry(signed(difference), difference, relative) if isinstance(difference, float) else Entry("–")
        ),
        "users": _interval_entry(record, "users", protocol),
        "seeds": _interval_entry(record, "seeds", protocol),
        "p": Entry(show_p(p), p) if isinstance(p, float) else Entry("–"),
        "effect": Entry(f"{effect:+.2f}".replace("-", "−"), effect) if isinstance(effect, float) else Entry("–"),
        "verdict": Entry(str(record[f"verdict_{protocol}"])),
    }


def difference_table(reference: SystemCells, records: Sequence[Record], protocol: str) -> Table:
    """Table of the reference against every other system, for one protocol."""
    columns = [
        Column("difference", "difference"),
        Column("users", "over users", "95 % interval"),
        Column("seeds", "over seeds", "95 % interval"),
        Column("p", "p, corrected"),
        Column("effect", "effect size"),
        Column("verdict", f"{reference.label} is"),
    ]
    rows = [
        Row(str(record["title"]), _entries(record, protocol), str(record["group"]), str(record["system"]))
        for record in records
    ]
    title = f"{reference.label} against each other system, NDCG@10, {PROTOCOLS[protocol]}"
    return Table(title, columns, rows, first="other system")


@dataclass(frozen=True)
class Noise:
    """Uncertainty of a section's figures.

    Attributes
    ----------
    ranking
        Ranking of the figures.
    users
        Number of test users.
    error, mean
        Standard error over users of the best system's NDCG@10, and that NDCG@10.
    interval
        Half-width of the 95 % interval of the difference between two systems, over users or over seeds, whichever is
        wider; median of all comparisons, None if there is none.
    """

    ranking: str
    users: int
    error: float
    mean: float
    interval: float | None

    @property
    def share(self) -> float:
        """Standard error as a share of the mean."""
        return self.error / self.mean if self.mean else 0.0


def noise_of(systems: Sequence[SystemCells], records: Sequence[Record], ranking: str) -> Noise | None:
    """Uncertainty of NDCG@10 by a ranking; None without ranks."""
    best = best_of(systems, "ndcg", ranking)
    error = best.user_error("ndcg", ranking) if best else None
    measure = best.measure("test", f"ndcg@10_{ranking}") if best else None
    if best is None or error is None or measure is None:
        return None
    users = len(next(iter(best.gains("ndcg", ranking).values())))
    halves = [max(_half_width(record, "users", ranking), _half_width(record, "seeds", ranking)) for record in records]
    compared = [half for half in halves if half > 0]
    return Noise(ranking, users, error, measure.mean, statistics.median(compared) if compared else None)


def _half_width(record: Record, name: str, ranking: str) -> float:
    low, high = record[f"{name}_low_{ranking}"], record[f"{name}_high_{ranking}"]
    return (high - low) / 2 if isinstance(low, float) and isinstance(high, float) else 0.0
