"""The evaluation at the end of a training: the one time that a run looks at the test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.files import atomic_write
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.negatives import NEGATIVES_VERSION
from easrec_nni.evaluation.figures import PROTOCOLS
from easrec_nni.evaluation.metrics import figure_standard_error
from easrec_nni.evaluation.scoring import evaluate_fully, metrics_of
from easrec_nni.evaluation.selection import MONITOR, validation_rows

__all__ = ["RANKS_FILE", "final_evaluation", "write_ranks"]

RANKS_FILE = "ranks.npz"


def final_evaluation(
    network: Any, dataset: Dataset, arch_share: float
) -> tuple[dict[str, Any], dict[str, NDArray[np.int64]]]:
    """Figures of a network that will not be trained any more.

    Parameters
    ----------
    network
        Maps item ids ``[B, T]`` to scores ``[B, n_items + 1]``.
    dataset
        Prepared interactions.
    arch_share
        Share of users whose validation targets train architecture parameters.

    Returns
    -------
    tuple
        Figures of ``test``, ``valid`` and ``valid_selection_users`` (the users that select, with the standard error of
        the selecting figure), ``negatives_version`` (of what these are ranked against), and the ranks of the test
        targets: ``test_full``, … in the order of ``dataset.split.eval_users``.
    """
    test, test_ranks = evaluate_fully(network, dataset, "test", protocols=PROTOCOLS)
    valid, valid_ranks = evaluate_fully(network, dataset, "valid", protocols=PROTOCOLS)
    _, rows = validation_rows(dataset, arch_share)
    selection = {name: ranks[rows] for name, ranks in valid_ranks.items()}
    error = {f"{MONITOR}_standard_error": figure_standard_error(selection, MONITOR)}
    figures = {
        "test": test,
        "valid": valid,
        "valid_selection_users": metrics_of(selection) | error,
        "negatives_version": NEGATIVES_VERSION,
    }
    return figures, {f"test_{name}": ranks for name, ranks in test_ranks.items()}


def write_ranks(ranks: dict[str, NDArray[np.int64]], path: Path) -> None:
    """Write ranks as one compressed file, whole or not at all."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{name: array.astype(np.int64) for name, array in ranks.items()})
