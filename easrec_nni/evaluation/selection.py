"""Model selection: the validation users and the metric that select epochs and trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.training_settings import SelectBy
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.splits.validation_users import split_validation_users

__all__ = ["COMPARED", "MONITOR", "PARTITION_SEED", "SELECTED", "name_in", "protocol_of", "validation_rows"]


MONITOR = "ndcg@10_full"
"""Default selection metric (``select_by``) for the best epoch of a search or retraining, and the best trial."""

COMPARED = "selection_users_"
"""Prefix of a metric in a retraining's history: over the users by which trials are compared."""

SELECTED = "valid_selection_"
"""Prefix of a metric in a trial's final result: over the selection users."""


# One partition for all runs on a dataset: all are selected by the same users, so it adds no variance over seeds.
PARTITION_SEED = 0


def protocol_of(figure: str) -> str:
    """Ranking protocol in a metric's full name.

    Examples
    --------
    >>> protocol_of("ndcg@10_unseen")
    'unseen'
    """
    return figure.partition("_")[2]


def name_in(report: Mapping[str, Any], prefix: str) -> str:
    """Name of the selecting metric in a trial's report, whichever metric selected.

    Parameters
    ----------
    report
        Report of an epoch, or a final result.
    prefix
        Prefix of the name: :data:`COMPARED` or :data:`SELECTED`.

    Examples
    --------
    >>> name_in({"default": 0.1, "valid_selection_ndcg@10_unseen": 0.1}, SELECTED)
    'valid_selection_ndcg@10_unseen'
    """
    names = (f"{prefix}{figure}" for figure in get_args(SelectBy))
    return next((name for name in names if name in report), f"{prefix}{MONITOR}")


def validation_rows(dataset: Dataset, arch_share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Validation rows of the users who train alpha and beta, and of the selection users.

    Only the selection users decide the best epoch of a search and the metric reported to a tuner.
    """
    targets = dataset.split.valid
    user = np.searchsorted(targets.users[targets.first_rows], targets.users)  # [R], index among the evaluated users
    arch, select = split_validation_users(targets.n_users, arch_share, PARTITION_SEED)
    return np.flatnonzero(np.isin(user, arch)), np.flatnonzero(np.isin(user, select))
