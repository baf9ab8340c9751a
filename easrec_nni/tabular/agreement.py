"""Agreement of a supernet's inherited-weight figures with a table of networks trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from easrec_nni.common.errors import UserError
from easrec_nni.searching.front import Front
from easrec_nni.tabular.documents import Correlation, NoiseCeiling
from easrec_nni.tabular.noise import correlation
from easrec_nni.tabular.table import ArchitectureTable

__all__ = ["Agreement", "agreement"]

FEWEST = 3
"""Smallest number of common architectures to correlate."""


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of inherited-weight figures with a table's means over seeds.

    Attributes
    ----------
    figure
        Metric that is compared.
    architectures
        Number of architectures that both have.
    valid, test
        Correlation with the table's validation and test figures.
    ceiling
        Correlations that the seeds' noise allows; None in a table without them.
    gaps
        Inherited figure relative to the table's validation figure, less 1, by architecture. The users differ: a front
        has the selection users, a table all validation users.
    """

    figure: str
    architectures: int
    valid: Correlation
    test: Correlation
    ceiling: NoiseCeiling | None
    gaps: dict[str, float]

    def lines(self) -> list[str]:
        """Text for the terminal."""
        allowed = self.ceiling
        halves = None if allowed is None else allowed.valid_halves
        crossed = None if allowed is None else allowed.valid_test_halves or allowed.valid_test
        gaps = np.array(list(self.gaps.values()))
        lowest = min(self.gaps, key=lambda name: self.gaps[name])
        return [
            f"{self.figure} with inherited weights against {self.architectures} architectures trained from scratch:",
            f"  Kendall's tau with validation {_number(self.valid)} (noise ceiling {_number(halves)}), "
            f"with test {_number(self.test)} (noise ceiling {_number(crossed)})",
            f"  relative to from-scratch validation, which counts other users too: median {np.median(gaps):+.1%}, "
            f"lowest {self.gaps[lowest]:+.1%} ({lowest})",
        ]


def _number(value: Correlation | None) -> str:
    return "unknown" if value is None or value.kendall is None else f"{value.kendall:.2f}"


def agreement(front: Front, table: ArchitectureTable) -> Agreement:
    """Compare a front with a table of the same dataset.

    Raises
    ------
    UserError
        The table is of another dataset or lacks the front's metric, or they have too few architectures in common.
    """
    if table.document.dataset.fingerprint != front.fingerprint:
        raise UserError(
            f"the table is of {table.document.dataset.name} and the supernet of {front.dataset}, or they are of "
            "different preparations (fingerprints differ)"
        )
    names = [table.check_figure(f"{part}_{front.figure}") for part in ("valid", "test")]
    entries = {entry.choice: entry for entry in table.entries}
    rows = [row for row in front.architectures if row.choice in entries]
    if len(rows) < FEWEST:
        raise UserError(f"the table and the supernet have {len(rows)} architectures in common, fewer than {FEWEST}")
    inherited = np.array([front.accuracy(row) for row in rows])
    valid, test = (np.array([entries[row.choice].mean(name) for row in rows]) for name in names)
    return Agreement(
        figure=front.figure,
        architectures=len(rows),
        valid=correlation(inherited, valid),
        test=correlation(inherited, test),
        ceiling=table.document.noise.get(front.figure),
        gaps={row.name: float(share) for row, share in zip(rows, inherited / valid - 1, strict=True)},
    )
