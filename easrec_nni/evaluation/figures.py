"""Names of a finished run's metrics, by metric and protocol."""

from __future__ import annotations

from collections.abc import Mapping

from easrec_nni.evaluation.metrics import METRICS

__all__ = [
    "LATER_PROTOCOLS",
    "PROTOCOLS",
    "RANKINGS",
    "REFITTED",
    "TEST_USERS",
    "check_accuracy",
    "check_kind",
    "protocols_of",
]

PROTOCOLS = ("full", "unseen", "pop100", "pop100_recbole", "uni100")
"""Ranking protocols of a final evaluation."""

RANKINGS = ("full", "unseen", "pop100")
"""Protocols in which networks are set beside each other in tables."""

LATER_PROTOCOLS = ("unseen", "pop100_recbole")
"""Protocols of :data:`PROTOCOLS` that results of earlier versions lack."""

TEST_USERS = "test_users"
"""Name of the ``ranks.npz`` array with the user of each test target, where users have several."""

REFITTED = "_refitted"
"""Suffix of metrics of a network that was also trained on the validation interactions."""


def protocols_of(figures: Mapping[str, float]) -> tuple[str, ...]:
    """Protocols expected in a result: all of them, except later ones that it lacks entirely."""
    return tuple(
        name
        for name in PROTOCOLS
        if name not in LATER_PROTOCOLS or any(f"{metric}@10_{name}" in figures for metric in METRICS)
    )


def check_accuracy(figures: dict[str, float]) -> dict[str, float]:
    """Validate the accuracy of one part: every metric of every protocol present and in [0, 1].

    Raises
    ------
    ValueError
        A metric is missing or out of range; the message names the first one.
    """
    for protocol in protocols_of(figures):
        for metric in METRICS:
            key = f"{metric}@10_{protocol}"
            if key not in figures:
                raise ValueError(f"{key} is missing")
            if not 0 <= figures[key] <= 1:
                raise ValueError(f"{key}={figures[key]} is not between 0 and 1")
    return figures


def check_kind(figures: dict[str, float], refitted: bool) -> dict[str, float]:
    """Validate that the metrics of one part are all of a refitted network, or none of them.

    Raises
    ------
    ValueError
        A name has the suffix :data:`REFITTED` and should not, or lacks it; the message names the first one.
    """
    for key in figures:
        if key.endswith(REFITTED) != refitted:
            raise ValueError(f"{key} is {'not ' if refitted else ''}of a refitted network")
    return figures
