"""Evaluation of a network in one pass over the users: ranks and recommendations.

The batch size shrinks as the catalogue grows, so that the scores of all users and items are never held at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.data.batches.evaluation import EvaluationBatch, EvaluationBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.splits import Targets
from easrec_nni.evaluation.beyond_accuracy import Recommended
from easrec_nni.evaluation.metrics import cut_offs
from easrec_nni.evaluation.ranking import PROTOCOLS, Ranker, metrics_of

__all__ = ["PROTOCOLS", "Ranker", "evaluate", "evaluate_fully", "metrics_of", "rank_users"]

# Scores in a batch: 2^24 float32 are 64 MiB.
LARGEST_SCORES = 1 << 24
LARGEST_BATCH = 256


def evaluation_batch_size(n_items: int) -> int:
    """Users per evaluation batch, limited by the memory of their scores."""
    return max(1, min(LARGEST_BATCH, LARGEST_SCORES // (n_items + 1)))


@torch.no_grad()
def _score_users(
    network: Any, dataset: Dataset, part: str, max_length: int | None, take: Callable[[Tensor, EvaluationBatch], None]
) -> NDArray[np.int64]:
    """Pass the users' scores to ``take`` in batches; return the order that sorts by row."""
    length = max_length or context_length(network)
    batches = EvaluationBatches(dataset, part, length, evaluation_batch_size(dataset.n_items))
    device, rows = network_device(network), []
    was_training = network.training
    network.eval()
    try:
        for batch in batches:
            moved = EvaluationBatch(*(tensor.to(device) for tensor in batch))
            take(network(moved.ids), moved)
            rows.append(batch.rows)
    finally:
        network.train(was_training)
    return torch.cat(rows).argsort().numpy()


def rank_users(
    network: Any,
    dataset: Dataset,
    part: str,
    *,
    max_length: int | None = None,
    protocols: Sequence[str] = PROTOCOLS,
) -> dict[str, NDArray[np.int64]]:
    """Ranks of a part's targets by protocol, in the order of ``dataset.split.part(part)``.

    Parameters
    ----------
    network
        Network that maps item ids ``[B, T]`` to scores ``[B, n_items + 1]``.
    dataset
        Prepared interactions.
    part
        ``valid`` or ``test``.
    max_length
        Number of newest interactions given to the network; its ``config.max_length`` or ``max_length`` by default.
    protocols
        Ranking protocols; see :mod:`easrec_nni.evaluation.metrics`.

    Raises
    ------
    UserError
        The part is unknown.
    ValueError
        A score is NaN, or a protocol is unknown.
    """
    ranker = Ranker(dataset, part, protocols)
    order = _score_users(network, dataset, part, max_length, ranker.add)
    return {name: ranks[order] for name, ranks in ranker.ranks().items()}


def evaluate(
    network: Any,
    dataset: Dataset,
    part: str = "test",
    *,
    max_length: int | None = None,
    k: int | Sequence[int] = 10,
    protocols: Sequence[str] = PROTOCOLS,
) -> dict[str, float]:
    """Accuracy of a network on one part of a dataset, over all evaluated users.

    Parameters
    ----------
    network, dataset, part, max_length, protocols
        As in :func:`rank_users`.
    k
        Cut-off or cut-offs.

    Returns
    -------
    dict
        ``{"recall@10_full": …, "mrr@10_full": …, …}``.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from easrec_nni.data import prepare
    >>> from easrec_nni.study.systems.popularity import Popularity
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> rows = [f"{user},{(user + t) % 9},{t}" for user in range(8) for t in range(5)]
    >>> _ = (folder / "log.csv").write_text("user,item,time" + chr(10) + chr(10).join(rows))
    >>> dataset = prepare(folder / "log.csv", out=folder / "prepared")
    >>> sorted(evaluate(Popularity(dataset), dataset, protocols=["full"]))
    ['mrr@10_full', 'ndcg@10_full', 'recall@10_full']
    """
    ranks = rank_users(network, dataset, part, max_length=max_length, protocols=protocols)
    return metrics_of(ranks, k, dataset.split.part(part).row_users)


def evaluate_fully(
    network: Any,
    dataset: Dataset,
    part: str = "test",
    ks: int | Sequence[int] = 10,
    protocols: Sequence[str] = PROTOCOLS,
    *,
    max_length: int | None = None,
) -> tuple[dict[str, float], dict[str, NDArray[np.int64]]]:
    """Accuracy, coverage, popularity and ranks from one pass over the users.

    Parameters
    ----------
    network, dataset, part, protocols, max_length
        As in :func:`rank_users`.
    ks
        Cut-off or cut-offs.

    Returns
    -------
    metrics : dict
        ``recall@k``, ``mrr@k``, ``ndcg@k`` for every protocol and k; with protocol ``full`` also
        ``coverage@k_full`` and ``mean_popularity@k_full`` (:mod:`easrec_nni.evaluation.beyond_accuracy`).
    ranks : dict
        Ranks by protocol, as returned by :func:`rank_users`.
    """
    ranker = Ranker(dataset, part, protocols)
    recommended = Recommended(dataset.n_items, cut_offs(ks), ranker.targets.unknown_items)

    def take(scores: Tensor, batch: EvaluationBatch) -> None:
        ranker.add(scores, batch)
        if "full" in ranker.protocols:
            recommended.add(_once_per_user(scores, batch, ranker.targets))

    order = _score_users(network, dataset, part, max_length, take)
    ranks = {name: values[order] for name, values in ranker.ranks().items()}
    metrics = metrics_of(ranks, ks, ranker.targets.row_users)
    if "full" in ranks:
        metrics |= recommended.metrics(dataset.training_counts)
    return metrics, ranks


def _once_per_user(scores: Tensor, batch: EvaluationBatch, targets: Targets) -> Tensor:
    """One row of scores per user; all targets of a user have the same scores."""
    if targets.row_users is None:
        return scores
    return scores[torch.from_numpy(np.isin(batch.rows.cpu().numpy(), targets.first_rows)).to(scores.device)]


def context_length(network: Any) -> int:
    """Number of newest interactions that a network uses; 1 if it declares none."""
    return int(getattr(getattr(network, "config", network), "max_length", 1))


def network_device(network: torch.nn.Module) -> torch.device:
    """Device of a network's weights; the CPU for a network without weights."""
    return next((weight.device for weight in network.parameters()), torch.device("cpu"))
