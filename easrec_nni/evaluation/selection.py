"""Users and figure by which epochs, networks and trials are selected."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from easrec_nni.data.dataset import Dataset
from easrec_nni.data.split import split_validation_users

__all__ = ["COMPARED", "MONITOR", "PARTITION_SEED", "validation_rows"]


MONITOR = "ndcg@10_full"
"""Figure that decides: best epoch of a search, best epoch of a retraining, best trial."""

COMPARED = f"selection_users_{MONITOR}"
"""The same in a retraining's history, over the users by which trials are compared."""


# One partition for all runs on a dataset, so that all are selected by the same users. It adds nothing to ± over seeds.
PARTITION_SEED = 0


def validation_rows(dataset: Dataset, arch_share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Evaluated users in two disjoint parts: those whose validation targets train alpha and beta, and the rest.

    The rest alone decides the best epoch of a search, and what a tuner is told.
    """
    return split_validation_users(len(dataset.split.eval_users), arch_share, PARTITION_SEED)
