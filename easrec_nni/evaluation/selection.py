"""Model selection: the validation users and the metric that select epochs and trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.dataset import Dataset
from easrec_nni.data.splits.validation_users import split_validation_users
from easrec_nni.settings.resolution import suited_figure

__all__ = [
    "COMPARABLE",
    "COMPARED",
    "CROSS_ENTROPY",
    "MONITOR",
    "PARTITION_SEED",
    "SELECTED",
    "compared_figure",
    "name_in",
    "protocol_of",
    "score_of",
    "validation_rows",
]


MONITOR = "ndcg@10_full"
"""Selection metric (``select_by``) where no settings name another."""

CROSS_ENTROPY = "cross_entropy_full"
"""Selection metric that is minimised: mean cross entropy of the targets over all items, in nats."""

COMPARABLE = ("ndcg@10_full", "ndcg@10_unseen")
"""Metrics by which trials are compared."""

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


def score_of(figure: str, value: float) -> float:
    """Selection metric as a score to maximise.

    Examples
    --------
    >>> score_of("ndcg@10_full", 0.25), score_of("cross_entropy_full", 6.5)
    (0.25, -6.5)
    """
    return -value if figure == CROSS_ENTROPY else value


def compared_figure(select_by: str, dataset: Dataset) -> str:
    """Metric by which trials are compared, and which a tuner maximises.

    It is the selection metric; or, if cross entropy selects, the NDCG@10 that suits the dataset: objectives weigh an
    NDCG against costs, and tuners maximise.

    Parameters
    ----------
    select_by
        Selection metric of resolved settings.
    dataset
        Dataset of the trials.
    """
    return suited_figure(dataset) if select_by == CROSS_ENTROPY else select_by


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
    names = (f"{prefix}{figure}" for figure in COMPARABLE)
    return next((name for name in names if name in report), f"{prefix}{MONITOR}")


def validation_rows(dataset: Dataset, arch_share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Validation rows of the users who train alpha and beta, and of the selection users.

    Only the selection users decide the best epoch of a search and the metric reported to a tuner.
    """
    targets = dataset.split.valid
    user = np.searchsorted(targets.users[targets.first_rows], targets.users)  # [R], index among the evaluated users
    arch, select = split_validation_users(targets.n_users, arch_share, PARTITION_SEED)
    return np.flatnonzero(np.isin(user, arch)), np.flatnonzero(np.isin(user, select))
