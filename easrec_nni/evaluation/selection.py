"""Users and figure by which epochs, networks and trials are selected."""

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
"""Figure that decides by default: best epoch of a search, best epoch of a retraining, best trial (``select_by``)."""

COMPARED = "selection_users_"
"""Before the figure's name in a retraining's history: over the users by which trials are compared."""

SELECTED = "valid_selection_"
"""Before the figure's name in a trial's final result: over the users that select."""


# One partition for all runs on a dataset, so that all are selected by the same users. It adds nothing to ± over seeds.
PARTITION_SEED = 0


def protocol_of(figure: str) -> str:
    """Ranking that a figure is of.

    Examples
    --------
    >>> protocol_of("ndcg@10_unseen")
    'unseen'
    """
    return figure.partition("_")[2]


def name_in(report: Mapping[str, Any], prefix: str) -> str:
    """Name that the selecting figure has in a trial's report, whichever figure selected.

    Parameters
    ----------
    report
        An epoch's report, or a final result.
    prefix
        :data:`COMPARED` or :data:`SELECTED`.

    Examples
    --------
    >>> name_in({"default": 0.1, "valid_selection_ndcg@10_unseen": 0.1}, SELECTED)
    'valid_selection_ndcg@10_unseen'
    """
    names = (f"{prefix}{figure}" for figure in get_args(SelectBy))
    return next((name for name in names if name in report), f"{prefix}{MONITOR}")


def validation_rows(dataset: Dataset, arch_share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of validation in two parts: of users whose targets train alpha and beta, and of the rest of the users.

    The rest alone decides the best epoch of a search, and what a tuner is told.
    """
    targets = dataset.split.valid
    user = np.searchsorted(targets.users[targets.first_rows], targets.users)  # [R]: number among the evaluated users
    arch, select = split_validation_users(targets.n_users, arch_share, PARTITION_SEED)
    return np.flatnonzero(np.isin(user, arch)), np.flatnonzero(np.isin(user, select))
