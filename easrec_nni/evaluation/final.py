"""Final evaluation of a trained network: the only time that a run uses the test set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.dataset import Dataset
from easrec_nni.data.negatives import NEGATIVES_VERSION
from easrec_nni.evaluation.figures import PROTOCOLS, TEST_USERS
from easrec_nni.evaluation.metrics import figure_standard_error
from easrec_nni.evaluation.scoring import evaluate_fully, metrics_of
from easrec_nni.evaluation.selection import MONITOR, compared_figure, protocol_of, validation_rows

__all__ = ["final_evaluation", "rank_arrays"]


def final_evaluation(
    network: Any, dataset: Dataset, arch_share: float, select_by: str = MONITOR
) -> tuple[dict[str, Any], dict[str, NDArray[np.int64]]]:
    """Test and validation metrics of a fully trained network.

    Parameters
    ----------
    network
        Network that maps item ids ``[B, T]`` to scores ``[B, n_items + 1]``.
    dataset
        Prepared interactions.
    arch_share
        Share of users whose validation targets train architecture parameters.
    select_by
        Metric that selected the epoch; its figures are those of :func:`~.selection.compared_figure`.

    Returns
    -------
    tuple
        Metrics of ``test``, ``valid`` and ``valid_selection_users`` (the selection users, with the standard error of
        the compared metric) and ``negatives_version`` (version of the sampled negatives); and ranks in the order of
        the split's rows: of the test targets (:func:`rank_arrays`), and of the validation targets under the compared
        protocol (such as ``valid_full``).
    """
    test, test_ranks = evaluate_fully(network, dataset, "test", protocols=PROTOCOLS)
    valid, valid_ranks = evaluate_fully(network, dataset, "valid", protocols=PROTOCOLS)
    _, rows = validation_rows(dataset, arch_share)
    selection = {name: ranks[rows] for name, ranks in valid_ranks.items()}
    users = dataset.split.valid.row_users
    users = None if users is None else users[rows]
    figure = compared_figure(select_by, dataset)
    error = {f"{figure}_standard_error": figure_standard_error(selection, figure, users)}
    figures = {
        "test": test,
        "valid": valid,
        "valid_selection_users": metrics_of(selection, users=users) | error,
        "negatives_version": NEGATIVES_VERSION,
    }
    protocol = protocol_of(figure)
    return figures, rank_arrays(test_ranks, dataset) | {f"valid_{protocol}": valid_ranks[protocol]}


def rank_arrays(
    ranks: dict[str, NDArray[np.int64]], dataset: Dataset, ending: str = ""
) -> dict[str, NDArray[np.int64]]:
    """Arrays of ``ranks.npz``: test ranks, and each target's user where users have several.

    Parameters
    ----------
    ranks
        Test ranks by protocol, in the order of ``dataset.split.test``.
    dataset
        Dataset that the targets belong to.
    ending
        Suffix of the array names, after the protocol.
    """
    users = dataset.split.test.row_users
    arrays = {f"test_{name}{ending}": values for name, values in ranks.items()}
    return arrays if users is None else arrays | {TEST_USERS: users}
