"""Significance tests over seeds and over users, corrected for multiple comparisons.

A figure of a recommender has two independent sources of variance:

* **Seeds.** The same system trained again has another result. Systems are compared seed by seed with a paired two-sided
  t-test (:func:`paired_test`), whose p-values are corrected for multiple comparisons (:func:`holm`).
* **Users.** The same networks, tested on other users of the same kind, would have other figures; with MovieLens-100K's
  943 test users the standard error of NDCG@10 is near 8 % of its value. More seeds do not reduce it, since all are
  tested on the same users. Users are resampled instead (:func:`paired_bootstraps`).

:func:`compare_systems` tests both, and gives a star only if both are significant.
"""

from __future__ import annotations

from easrec_nni.evaluation.bootstrap import Interval, UserBootstrap, paired_bootstrap, paired_bootstraps
from easrec_nni.evaluation.metrics import standard_error, user_gains
from easrec_nni.report.significance.compare import Comparison, compare_systems
from easrec_nni.report.significance.multiple import holm
from easrec_nni.report.significance.seeds import PairedTest, Summary, paired_test, summarise

__all__ = [
    "Comparison",
    "Interval",
    "PairedTest",
    "Summary",
    "UserBootstrap",
    "compare_systems",
    "holm",
    "paired_bootstrap",
    "paired_bootstraps",
    "paired_test",
    "standard_error",
    "summarise",
    "user_gains",
]
