"""Is a difference a result, or noise? Over seeds, over users, and corrected for how many systems are compared.

A figure of a recommender is uncertain in two ways that have nothing to do with each other:

* **Seeds.** The same system trained again ends elsewhere. Systems are compared seed by seed: a paired two-sided t-test
  (:func:`paired_test`), whose p-values are corrected for many comparisons (:func:`holm`).
* **Users.** The same networks, tested on other users of the same kind, would have other figures; with MovieLens-100K's
  943 test users the standard error of NDCG@10 is near 8 % of its value. More seeds do not make it smaller: they are
  all tested on the same users. Users are drawn anew instead (:func:`paired_bootstraps`).

:func:`compare_systems` asks both, and gives a star only where both say yes.
"""

from __future__ import annotations

from easrec_nni.evaluation.metrics import standard_error, user_gains
from easrec_nni.report.significance.compare import Comparison, compare_systems
from easrec_nni.report.significance.multiple import holm
from easrec_nni.report.significance.seeds import Interval, PairedTest, Summary, paired_test, summarise
from easrec_nni.report.significance.users import UserBootstrap, paired_bootstrap, paired_bootstraps

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
