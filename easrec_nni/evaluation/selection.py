"""Users and figure by which epochs, networks and trials are selected."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.dataset import Dataset
from easrec_nni.data.splits.validation_users import split_validation_users

__all__ = ["MONITOR", "PARTITION_SEED", "validation_rows"]


MONITOR = "ndcg@10_full"
"""Figure that decides: best epoch of a search, best epoch of a retraining, best trial."""


# One partition for all runs on a dataset, so that all are selected by the same users. It adds nothing to ± over seeds.
PARTITION_SEED = 0


def validation_rows(dataset: Dataset, arch_share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of validation in two parts: of users whose targets train alpha and beta, and of the rest of the users.

    The rest alone decides the best epoch of a search, and what a tuner is told.
    """
    targets = dataset.split.valid
    user = np.searchsorted(targets.users[targets.first_rows], targets.users)  # [R]: number among the evaluated users
    arch, select = split_validation_users(targets.n_users, arch_share, PARTITION_SEED)
    return np.flatnonzero(np.isin(user, arch)), np.flatnonzero(np.isin(user, select))
