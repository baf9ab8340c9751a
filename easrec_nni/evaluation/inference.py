"""Inference timing of a network: the definition of what is timed, used everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.scoring import context_length, evaluation_batch_size, network_device

__all__ = ["ScoringTimer", "measure_inference"]


class ScoringTimer:
    """Timer for scoring a dataset's test users, in throughput batches or one by one.

    The timed part runs from item ids to the scores of all items. Batches are already in memory, as in a service;
    ranking the scores is excluded, because it costs the same for every network.

    Parameters
    ----------
    dataset
        Dataset whose test users are scored.
    max_length
        Number of newest interactions given to a network, per user.
    device
        Device of the networks.
    single_users
        Number of users to score one by one (all if there are fewer), spread evenly over short and long histories.
    batch_size
        Users per throughput batch; evaluation's batch size by default.
    most_batches
        Number of throughput batches to time, spread evenly over short and long histories; all by default.
    clock
        Clock in seconds; the wall clock by default.

    Attributes
    ----------
    users
        Number of users in the throughput batches.
    batch_size
        Users per throughput batch.
    singles
        Unpadded histories ``[1, T]`` of the users that are scored one by one.
    """

    def __init__(
        self,
        dataset: Dataset,
        max_length: int,
        device: torch.device | None = None,
        single_users: int = 200,
        batch_size: int | None = None,
        most_batches: int | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.clock = clock or time.perf_counter
        rows = dataset.split.test.first_rows
        self.batch_size = batch_size or evaluation_batch_size(dataset.n_items)
        everyone = EvaluationBatches(dataset, "test", max_length, self.batch_size, rows)
        count = min(most_batches or len(everyone), len(everyone))
        timed = {int((place + 0.5) * len(everyone) / count) for place in range(count)}
        self.batches = [batch.ids.to(self.device) for number, batch in enumerate(everyone) if number in timed]
        self.users = sum(map(len, self.batches))
        by_length = np.argsort(everyone.ends - everyone.starts, kind="stable")
        sample = by_length[np.linspace(0, len(rows) - 1, min(single_users, len(rows))).round().astype(np.int64)]
        one_by_one = EvaluationBatches(dataset, "test", max_length, 1, rows[np.sort(sample)])
        self.singles = [batch.ids.to(self.device) for batch in one_by_one]

    def pass_seconds(self, network: Any) -> float:
        """Seconds to score the users in throughput batches; sets the network to evaluation mode."""
        return self._timed(network, self.batches)

    def latencies_ms(self, network: Any) -> list[float]:
        """Latency of each single user in milliseconds, in the order of :attr:`singles`."""
        return [1000 * self._timed(network, [ids]) for ids in self.singles]

    @torch.no_grad()
    def _timed(self, network: Any, batches: list[Tensor]) -> float:
        network.eval()
        begin = self.clock()
        for ids in batches:
            network(ids)
        if self.device.type == "cuda":  # kernels run asynchronously
            torch.cuda.synchronize(self.device)
        return self.clock() - begin


def measure_inference(
    network: Any, dataset: Dataset, *, max_length: int | None = None, repeats: int = 5
) -> dict[str, float]:
    """Inference time per test user in this process, measured after a warm-up.

    To compare systems, use :mod:`easrec_nni.study.efficiency`, which interleaves them, each in its own process.

    Parameters
    ----------
    network
        Network that maps item ids ``[B, T]`` to scores ``[B, n_items + 1]``.
    dataset
        Dataset whose test users are scored.
    max_length
        Number of newest interactions given to the network; its ``config.max_length`` by default.
    repeats
        Timed passes over the test set.

    Returns
    -------
    dict
        ``inference_ms_per_user``: time of a pass in evaluation batches divided by the number of users, median over the
        repeats, with ``…_min`` and ``…_max``.
    """
    was_training = network.training
    timer = ScoringTimer(dataset, max_length or context_length(network), network_device(network), single_users=0)
    timer.pass_seconds(network)
    seconds = [timer.pass_seconds(network) for _ in range(repeats)]
    network.train(was_training)
    figures = {"": np.median(seconds), "_min": min(seconds), "_max": max(seconds)}
    return {f"inference_ms_per_user{name}": 1000 * float(value) / timer.users for name, value in figures.items()}
