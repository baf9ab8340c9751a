"""Names of the figures that a finished run has, by metric and protocol."""

from __future__ import annotations

from collections.abc import Mapping

from easrec_nni.evaluation.metrics import METRICS

__all__ = ["LATER_PROTOCOLS", "PROTOCOLS", "REFITTED", "TEST_USERS", "check_accuracy", "protocols_of"]

PROTOCOLS = ("full", "unseen", "pop100", "pop100_recbole", "uni100")
"""Rankings of a final evaluation."""

LATER_PROTOCOLS = ("unseen", "pop100_recbole")
"""Those of :data:`PROTOCOLS` that results of earlier versions do not have."""

TEST_USERS = "test_users"
"""Array of ``ranks.npz``: user of each test target, where users have several."""

REFITTED = "_refitted"
"""End of the names of figures of a network that was trained on the validation interactions too."""


def protocols_of(figures: Mapping[str, float]) -> tuple[str, ...]:
    """Rankings that a result should have figures of: all, but for the later ones of which it has none."""
    return tuple(
        name
        for name in PROTOCOLS
        if name not in LATER_PROTOCOLS or any(f"{metric}@10_{name}" in figures for metric in METRICS)
    )


def check_accuracy(figures: dict[str, float]) -> dict[str, float]:
    """The figures of one part, if each metric of each protocol is there and from 0 to 1.

    Raises
    ------
    ValueError
        With the first figure that is missing or out of range.
    """
    for protocol in protocols_of(figures):
        for metric in METRICS:
            key = f"{metric}@10_{protocol}"
            if key not in figures:
                raise ValueError(f"{key} is missing")
            if not 0 <= figures[key] <= 1:
                raise ValueError(f"{key}={figures[key]} is not from 0 to 1")
    return figures
