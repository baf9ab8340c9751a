"""How long a network takes to score users: the one place that decides what is timed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.scoring import evaluation_batch_size, look_back, network_device

__all__ = ["ScoringTimer", "measure_inference"]


class ScoringTimer:
    """Lets networks score a dataset's test users, in throughput batches or one by one, and tells how long that took.

    What is timed is the way from item numbers to scores of all items. The batches lie ready in memory, as a service
    would have them; ranking the scores, which costs the same for every network, is left out.

    Parameters
    ----------
    dataset
        Whose test users are scored.
    max_length
        Newest interactions of each that are handed to a network.
    device
        Where the networks are.
    single_users
        Users that are scored one by one, or all that there are; spread evenly over short and long histories.
    batch_size
        Users of a throughput batch, as many as evaluation takes by default.

    Attributes
    ----------
    users
        Evaluated users.
    batch_size
        Users of a throughput batch.
    singles
        Histories ``[1, T]`` without padding of the users that are scored one by one.
    """

    def __init__(
        self,
        dataset: Dataset,
        max_length: int,
        device: torch.device | None = None,
        single_users: int = 200,
        batch_size: int | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        rows = dataset.split.test.first_rows
        self.users = len(rows)
        self.batch_size = batch_size or evaluation_batch_size(dataset.n_items)
        everyone = EvaluationBatches(dataset, "test", max_length, self.batch_size, rows)
        self.batches = [batch.ids.to(self.device) for batch in everyone]
        by_length = np.argsort(everyone.ends - everyone.starts, kind="stable")
        chosen = by_length[np.linspace(0, self.users - 1, min(single_users, self.users)).round().astype(np.int64)]
        one_by_one = EvaluationBatches(dataset, "test", max_length, 1, rows[np.sort(chosen)])
        self.singles = [batch.ids.to(self.device) for batch in one_by_one]

    def pass_seconds(self, network: Any) -> float:
        """Seconds to score all users in throughput batches; the network is put into evaluation mode."""
        return self._timed(network, self.batches)

    def latencies_ms(self, network: Any) -> list[float]:
        """Milliseconds for each of the single users, in the order of :attr:`singles`."""
        return [1000 * self._timed(network, [ids]) for ids in self.singles]

    @torch.no_grad()
    def _timed(self, network: Any, batches: list[Tensor]) -> float:
        network.eval()
        begin = time.perf_counter()
        for ids in batches:
            network(ids)
        if self.device.type == "cuda":  # which works on while the program does
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - begin


def measure_inference(
    network: Any, dataset: Dataset, *, max_length: int | None = None, repeats: int = 5
) -> dict[str, float]:
    """Time to score the test set's users in this process, after a warm-up.

    To compare systems, use :mod:`easrec_nni.study.efficiency`: there they take turns, each in a process of its own.

    Parameters
    ----------
    network
        Maps item ids ``[B, T]`` to scores ``[B, n_items + 1]``.
    dataset
        Whose test users are scored.
    max_length
        Newest interactions to hand to the network; its own ``config.max_length`` by default.
    repeats
        Passes over the test set.

    Returns
    -------
    dict
        ``inference_ms_per_user``: median over the repeats of the pass in evaluation batches divided by the users, with
        ``…_min`` and ``…_max``.
    """
    was_training = network.training
    timer = ScoringTimer(dataset, max_length or look_back(network), network_device(network), single_users=0)
    timer.pass_seconds(network)
    seconds = [timer.pass_seconds(network) for _ in range(repeats)]
    network.train(was_training)
    figures = {"": np.median(seconds), "_min": min(seconds), "_max": max(seconds)}
    return {f"inference_ms_per_user{name}": 1000 * float(value) / timer.users for name, value in figures.items()}
