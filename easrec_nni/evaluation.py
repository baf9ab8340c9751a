"""Evaluation: one pass over the scores of each user gives every protocol's ranks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.batches import EvaluationBatch, EvaluationBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.errors import UserError
from easrec_nni.metrics import full_ranks, metrics_from_ranks, sampled_ranks

__all__ = ["PROTOCOLS", "Ranker", "evaluate", "evaluate_fully", "measure_inference", "metrics_of", "rank_users"]

PROTOCOLS = ("full", "pop100")
# Scores of a batch are held at once: 2^24 float32 are 64 MiB.
LARGEST_SCORES = 1 << 24
LARGEST_BATCH = 256


def evaluation_batch_size(n_items: int) -> int:
    """Users in a batch, so that their scores stay small whatever the catalogue."""
    return max(1, min(LARGEST_BATCH, LARGEST_SCORES // (n_items + 1)))


class Ranker:
    """Turns batches of scores into ranks by protocol, for one dataset and part.

    Parameters
    ----------
    dataset
        Whose negatives are ranked against.
    part
        ``valid`` or ``test``.
    protocols
        Any of ``full``, ``unseen``, ``pop100``, ``uni100``.
    """

    def __init__(self, dataset: Dataset, part: str, protocols: Sequence[str] = PROTOCOLS) -> None:
        self.protocols = tuple(dict.fromkeys(protocols))
        self.negatives = {name: dataset.negatives(name, part) for name in protocols if name not in ("full", "unseen")}
        self.dataset, self.part = dataset, part
        self.collected: dict[str, list[Tensor]] = {name: [] for name in protocols}

    def add(self, scores: Tensor, batch: EvaluationBatch) -> None:
        """Take the ranks of a batch."""
        for name in self.protocols:
            if name == "full":
                ranks = full_ranks(scores, batch.targets)
            elif name == "unseen":
                ranks = full_ranks(scores, batch.targets, self._histories(batch).to(scores.device))
            else:
                chosen = torch.from_numpy(np.asarray(self.negatives[name][batch.rows.cpu().numpy()], dtype=np.int64))
                ranks = sampled_ranks(scores, batch.targets, chosen.to(scores.device))
            self.collected[name].append(ranks.cpu())

    def _histories(self, batch: EvaluationBatch) -> Tensor:
        """All interactions before the targets, however many; 0 where the target itself was seen before."""
        split, rows = self.dataset.split, batch.rows.cpu().numpy()
        places = split.valid_target_index if self.part == "valid" else split.test_target_index
        begins, ends = self.dataset.offsets[split.eval_users[rows]], places[rows]
        longest = int((ends - begins).max())
        index = begins[:, None] + np.arange(longest)
        seen = np.where(index < ends[:, None], self.dataset.items[np.minimum(index, ends[:, None] - 1)], 0)
        return torch.from_numpy(np.where(seen == batch.targets.cpu().numpy()[:, None], 0, seen).astype(np.int64))

    def ranks(self) -> dict[str, NDArray[np.int64]]:
        """Ranks of all users that were added, in that order, by protocol."""
        return {name: torch.cat(parts).numpy() for name, parts in self.collected.items()}

    def metrics(self, k: int = 10) -> dict[str, float]:
        """All metrics of all protocols over the users that were added."""
        return metrics_of(self.ranks(), k)


@torch.no_grad()
def rank_users(
    network: Any,
    dataset: Dataset,
    part: str,
    *,
    max_length: int | None = None,
    protocols: Sequence[str] = PROTOCOLS,
) -> dict[str, NDArray[np.int64]]:
    """Rank of every evaluated user's target by protocol, in the order of ``dataset.split.eval_users``.

    Parameters
    ----------
    network
        Maps item ids ``[B, T]`` to scores ``[B, n_items + 1]``.
    dataset
        Prepared interactions.
    part
        ``valid`` or ``test``.
    max_length
        Newest interactions to hand to the network; its own ``config.max_length`` by default.
    protocols
        See :mod:`easrec_nni.metrics`.
    """
    if part not in ("valid", "test"):
        raise UserError(f"part={part!r}: evaluate on valid or test")
    length = max_length or _look_back(network)
    batches = EvaluationBatches(dataset, part, length, evaluation_batch_size(dataset.n_items))
    ranker, device, rows = Ranker(dataset, part, protocols), _device(network), []
    was_training = network.training
    network.eval()
    try:
        for batch in batches:
            moved = EvaluationBatch(*(tensor.to(device) for tensor in batch))
            ranker.add(network(moved.ids), moved)
            rows.append(batch.rows)
    finally:
        network.train(was_training)
    order = torch.cat(rows).argsort().numpy()
    return {name: ranks[order] for name, ranks in ranker.ranks().items()}


def evaluate(
    network: Any,
    dataset: Dataset,
    part: str = "test",
    *,
    max_length: int | None = None,
    k: int = 10,
    protocols: Sequence[str] = PROTOCOLS,
) -> dict[str, float]:
    """Metrics of a network on a part of a dataset, over all evaluated users.

    Parameters
    ----------
    network, dataset, part, max_length, protocols
        As in :func:`rank_users`.
    k
        Cut-off.

    Returns
    -------
    dict
        ``{"recall@10_full": …, "mrr@10_full": …, …}``.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from easrec_nni.data import prepare
    >>> from easrec_nni.popularity import Popularity
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> rows = [f"{user},{(user + t) % 9},{t}" for user in range(8) for t in range(5)]
    >>> _ = (folder / "log.csv").write_text("user,item,time" + chr(10) + chr(10).join(rows))
    >>> dataset = prepare(folder / "log.csv", out=folder / "prepared")
    >>> sorted(evaluate(Popularity(dataset), dataset, protocols=["full"]))
    ['mrr@10_full', 'ndcg@10_full', 'recall@10_full']
    """
    ranks = rank_users(network, dataset, part, max_length=max_length, protocols=protocols)
    return metrics_of(ranks, k)


def evaluate_fully(
    network: Any, dataset: Dataset, part: str = "test", *, k: int = 10, protocols: Sequence[str] = PROTOCOLS
) -> tuple[dict[str, float], dict[str, NDArray[np.int64]]]:
    """Metrics and ranks of one pass; parameters as in :func:`evaluate` and :func:`rank_users`."""
    ranks = rank_users(network, dataset, part, protocols=protocols)
    return metrics_of(ranks, k), ranks


def metrics_of(ranks: dict[str, NDArray[np.int64]], k: int = 10) -> dict[str, float]:
    """All metrics of all protocols."""
    result: dict[str, float] = {}
    for name, values in ranks.items():
        result |= metrics_from_ranks(values, k, name)
    return result


def _look_back(network: Any) -> int:
    """Interactions that a network looks back on; one where it does not say, as for popularity."""
    return int(network.config.max_length) if hasattr(network, "config") else 1


def _device(network: torch.nn.Module) -> torch.device:
    return next((weight.device for weight in network.parameters()), torch.device("cpu"))


@torch.no_grad()
def measure_inference(
    network: Any, dataset: Dataset, *, max_length: int | None = None, repeats: int = 5
) -> dict[str, float]:
    """Time to score the test set's users, after a warm-up.

    Returns
    -------
    dict
        ``inference_ms_per_user``: median over the repeats of the pass in evaluation batches divided by the users, with
        ``…_min`` and ``…_max``.
    """
    length = max_length or _look_back(network)
    batches = list(EvaluationBatches(dataset, "test", length, evaluation_batch_size(dataset.n_items)))
    was_training, device = network.training, _device(network)
    network.eval()
    seconds = []
    for turn in range(repeats + 1):
        begin = time.perf_counter()
        for batch in batches:
            network(batch.ids.to(device)).max().item()  # the item waits for a device that works asynchronously
        if turn:
            seconds.append(time.perf_counter() - begin)
    network.train(was_training)
    users = len(dataset.split.eval_users)
    figures = {"": np.median(seconds), "_min": min(seconds), "_max": max(seconds)}
    return {f"inference_ms_per_user{name}": 1000 * float(value) / users for name, value in figures.items()}
