"""Judgement whether a network keeps the accuracy of the unpruned one: a non-inferiority test over users.

The margin is the largest loss that still counts as kept, as a share of the unpruned network's NDCG@10. Users are
resampled in pairs (:mod:`easrec_nni.evaluation.bootstrap`), and the verdict is read from the 90 % interval of the
relative difference:

* ``kept``: the whole interval is above the margin;
* ``lost``: the whole interval is below it;
* ``cannot tell``: the margin is inside.

Each of the two ends bounds the difference on one side with 95 % confidence, so "kept" and "lost" are each wrong for at
most 5 % of samples of users (two one-sided tests: Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987). The networks are
fixed: the test is about other users, not about another training of either network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from easrec_nni.common.documents import Document
from easrec_nni.common.readable import counted, readable_change
from easrec_nni.evaluation.bootstrap import RESAMPLES, paired_bootstrap
from easrec_nni.evaluation.figures import PROTOCOLS

__all__ = ["CONFIDENCE", "KEPT", "POWER", "TESTED", "VERDICT_NUMBERS", "Judgement", "Verdict", "judge"]

Verdict = Literal["kept", "lost", "cannot tell"]

TESTED = "test_"
"""Prefix of a metric in a trial's final result: over the test users."""
KEPT = "kept_accuracy"
"""Name of the verdict's number in a trial's final result, after the prefix of the users."""
VERDICT_NUMBERS: dict[Verdict, float] = {"kept": 1.0, "lost": 0.0, "cannot tell": 0.5}
"""Numbers of the verdicts in a trial's final result, since NNI's web UI sorts and plots numbers only."""
CONFIDENCE = 0.90
"""Confidence level of the two-sided interval; each of its ends is a one-sided 95 % bound."""
POWER = 0.80
"""Probability of a verdict with as many users as :attr:`Judgement.users_needed`."""
FEWEST_RESAMPLES = 1_000
MOST_DRAWN_USERS = 200_000_000  # over all draws: about 4 s
MOST_USERS = 10**9  # larger numbers of users are not stated: the difference lies at the margin


class Judgement(Document):
    """Verdict on a network against the unpruned one, over the users of one part of the data.

    Attributes
    ----------
    verdict
        ``kept``, ``lost`` or ``cannot tell``.
    figure
        Full name of the metric.
    users
        Number of users.
    value, unpruned
        Metric of the network and of the unpruned one, over these users.
    difference
        Relative difference, ``value / unpruned - 1``; None if the unpruned network's metric is 0.
    low, high
        Ends of the 90 % bootstrap interval of the difference; None where it is undefined.
    margin
        Largest loss that counts as kept, as a share of the unpruned network's metric.
    users_needed
        Number of users with which a verdict has a probability of 80 %, if the difference is as measured; only for
        ``cannot tell``, and None where the difference lies at the margin.
    """

    verdict: Verdict
    figure: str
    users: int
    value: float
    unpruned: float
    difference: float | None
    low: float | None
    high: float | None
    margin: float
    users_needed: int | None = None

    def keys(self, prefix: str) -> dict[str, int | float]:
        """Keys of a trial's final result, all numbers; those that are undefined are left out.

        Parameters
        ----------
        prefix
            Prefix of the users: :data:`TESTED` or :data:`~easrec_nni.evaluation.selection.SELECTED`.
        """
        keys = {
            f"{prefix}{KEPT}": VERDICT_NUMBERS[self.verdict],
            f"{prefix}difference": self.difference,
            f"{prefix}difference_low": self.low,
            f"{prefix}difference_high": self.high,
            f"{prefix}margin": self.margin,
            f"{prefix}users": self.users,
            f"{prefix}users_needed": self.users_needed,
            f"{prefix}{self.figure}": self.value,
            f"unpruned_{prefix}{self.figure}": self.unpruned,
        }
        return {name: value for name, value in keys.items() if value is not None}

    @classmethod
    def in_result(cls, result: Mapping[str, Any], prefix: str) -> Judgement | None:
        """Judgement in a trial's final result; None if it has none, or a damaged one.

        Parameters
        ----------
        result
            Final result, as NNI's records hold it.
        prefix
            Prefix given to :meth:`keys`.

        Examples
        --------
        >>> judged = judge(np.ones(50), np.ones(50), 0.02, figure="ndcg@10_full")
        >>> Judgement.in_result(judged.keys("test_"), "test_") == judged
        True
        """
        kept = result.get(f"{prefix}{KEPT}")
        names = (f"ndcg@10_{protocol}" for protocol in PROTOCOLS)
        figure = next((name for name in names if f"unpruned_{prefix}{name}" in result), None)
        document = {
            "verdict": next((word for word, number in VERDICT_NUMBERS.items() if number == kept), None),
            "figure": figure,
            "value": result.get(f"{prefix}{figure}"),
            "unpruned": result.get(f"unpruned_{prefix}{figure}"),
            "low": result.get(f"{prefix}difference_low"),
            "high": result.get(f"{prefix}difference_high"),
            **{name: result.get(f"{prefix}{name}") for name in ("difference", "margin", "users", "users_needed")},
        }
        try:
            return cls.model_validate(document)
        except ValidationError:
            return None

    @property
    def text(self) -> str:
        """Sentence with verdict, metrics, difference, interval, margin and users."""
        metric, _, protocol = self.figure.partition("_")
        measured = f"{metric.upper()} ({protocol}) {self.value:.4f} against {self.unpruned:.4f} unpruned"
        users = counted(self.users, "user")
        if self.difference is None or self.low is None or self.high is None:
            return f"cannot tell with {users}: {measured}"
        measured += (
            f", {readable_change(self.difference)} ({CONFIDENCE:.0%} interval {readable_change(self.low)} to "
            f"{readable_change(self.high)}, margin {readable_change(-self.margin)}"
        )
        if self.verdict != "cannot tell":
            return f"{self.verdict}: {measured}, {users})"
        needed = (
            "the difference lies at the margin"
            if self.users_needed is None
            else f"about {self.users_needed:,} users would tell, if the difference is as measured"
        )
        return f"cannot tell with {users}: {measured}); {needed}"


def judge(
    gains: NDArray[np.float64],
    unpruned: NDArray[np.float64],
    margin: float,
    *,
    figure: str,
    resamples: int | None = None,
) -> Judgement:
    r"""Judge a network against the unpruned one by each user's gain.

    With the gains :math:`g_u, g'_u` of the two networks and the margin :math:`m`, a loss beyond the margin means that
    the mean of :math:`z_u = g_u - (1 - m) g'_u` is negative. ``users_needed`` is
    :math:`((\Phi^{-1}(0.95) + \Phi^{-1}(0.8))\, s_z / \bar z)^2`.

    Parameters
    ----------
    gains, unpruned
        Gains of the two networks, ``[users]``, users in the same order
        (:func:`~easrec_nni.evaluation.metrics.user_gains`).
    margin
        Largest loss that counts as kept, as a share of the unpruned network's mean gain.
    figure
        Full name of the metric.
    resamples
        Number of bootstrap draws; by default 10,000, and fewer, at least 1,000, beyond 20,000 users.

    Raises
    ------
    ValueError
        There are no users, their numbers differ, a gain is not finite, or the margin is not between 0 and 1.

    Examples
    --------
    >>> ours = np.tile([1.0, 0.5, 0.0, 0.5], 100)
    >>> judge(ours, ours, 0.02, figure="ndcg@10_full").verdict
    'kept'
    >>> print(judge(0.9 * ours, ours, 0.02, figure="ndcg@10_full").text.replace(" (90%", chr(10) + "(90%"))
    lost: NDCG@10 (full) 0.4500 against 0.5000 unpruned, −10.0 %
    (90% interval −10.0 % to −10.0 %, margin −2.0 %, 400 users)
    """
    if not 0 < margin < 1:
        raise ValueError(f"a margin is a share between 0 and 1, not {margin}")
    if resamples is None:
        resamples = min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_DRAWN_USERS // max(1, len(gains))))
    bootstrap = paired_bootstrap(gains, unpruned, resamples=resamples, confidence=CONFIDENCE)
    interval = bootstrap.relative_interval
    low, high = (interval.low / 100, interval.high / 100) if interval else (None, None)
    verdict: Verdict = "cannot tell"
    if low is not None and low > -margin:
        verdict = "kept"
    elif high is not None and high < -margin:
        verdict = "lost"
    return Judgement(
        verdict=verdict,
        figure=figure,
        users=bootstrap.users,
        value=float(np.mean(gains)),
        unpruned=float(np.mean(unpruned)),
        difference=None if bootstrap.relative_percent is None else bootstrap.relative_percent / 100,
        low=low,
        high=high,
        margin=margin,
        users_needed=_users_needed(gains, unpruned, margin) if verdict == "cannot tell" else None,
    )


def _users_needed(gains: NDArray[np.float64], unpruned: NDArray[np.float64], margin: float) -> int | None:
    beyond = gains - (1 - margin) * unpruned
    if len(beyond) < 2 or not beyond.mean():
        return None
    normal = NormalDist()
    quantiles = normal.inv_cdf((1 + CONFIDENCE) / 2) + normal.inv_cdf(POWER)
    needed = (quantiles * float(beyond.std(ddof=1)) / float(beyond.mean())) ** 2
    return math.ceil(needed) if needed <= MOST_USERS else None
