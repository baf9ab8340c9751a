"""Worker for one of our networks (:mod:`benchmarks.peers.worker_loop`)."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

from benchmarks.peers.worker_loop import Handlers, answer_requests, handlers_of, timed
from easrec_nni.architecture.compiling import compile_scoring
from easrec_nni.bench.epochs import Training
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.common.provenance import package_versions
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.data.loading import load_dataset
from easrec_nni.evaluation.inference import ScoringTimer
from easrec_nni.evaluation.scoring import evaluation_batch_size
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.threads import use_threads
from easrec_nni.training.trainer import seed_everything
from search_spaces import EASRecSpace, SpaceConfig

__all__ = ["Ours", "load"]


class Ours:
    """One of our networks, with fresh weights.

    Parameters
    ----------
    order
        ``dataset``: path of the prepared dataset; ``space`` and ``choices`` as in an architecture's JSON; ``settings``:
        trial settings that differ from the defaults; ``seed``; ``compiled``: whether to compile the scoring.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self.after_imports = peak_memory_bytes()
        self.data = load_dataset(order["dataset"])
        self.settings = TrialSettings.parse({"data": self.data.name, **order["settings"]}, "settings")
        seed_everything(order["seed"])
        space = SpaceConfig(n_items=self.data.n_items, **order["space"])
        self.network = EASRecSpace(space.compact(order["choices"]))
        if order.get("compiled"):
            compile_scoring(self.network)
        self.timers: dict[int | None, ScoringTimer] = {}
        self._training: Training | None = None

    @property
    def training(self) -> Training:
        """Training of the network, created on first use."""
        if self._training is None:
            self._training = Training(self.network, TrialContext(self.settings, self.data, self.network.config))
        return self._training

    def score_pass(self, batch: int | None = None) -> dict[str, Any]:
        """Time to score the test users, with histories ready in memory."""
        if batch not in self.timers:
            self.timers.clear()
            length = self.network.config.max_length
            self.timers[batch] = ScoringTimer(self.data, length, single_users=0, batch_size=batch)
        timer = self.timers[batch]
        return timed(lambda: timer.pass_seconds(self.network)) | {"batch": timer.batch_size}

    @torch.no_grad()
    def scores(self, part: str, file: str) -> dict[str, Any]:
        """Write the scores of the evaluated users; time only the scoring."""
        self.network.eval()
        length, size = self.network.config.max_length, evaluation_batch_size(self.data.n_items)
        ready = list(EvaluationBatches(self.data, part, length, size))
        scores = np.empty((len(self.data.split.test), self.data.n_items + 1), dtype=np.float32)
        parts: list[torch.Tensor] = []
        figures = timed(lambda: parts.extend(self.network(batch.ids) for batch in ready))
        for batch, values in zip(ready, parts, strict=True):
            scores[batch.rows.numpy()] = values.numpy()
        np.save(file, scores)
        return figures

    def epoch(self, first: int | None = None) -> dict[str, Any]:
        """Time one epoch, or its first iterations."""
        time = self.training.epoch(first)
        return {**time.figures(), "seconds": time.epoch_seconds}

    def save(self, file: str) -> dict[str, Any]:
        """Save the training state."""
        torch.save(self.training.state_dict(), file)
        return {}

    def load(self, file: str) -> dict[str, Any]:
        """Restore the training state."""
        self.training.load_state_dict(torch.load(file, weights_only=True))
        return {}


def load(order: dict[str, Any]) -> tuple[dict[str, Any], Handlers]:
    """Load a network; return its facts and request handlers."""
    threads = use_threads(order["threads"])
    system = Ours(order)
    facts = {
        "versions": package_versions(),
        "threads": threads,
        "test_users": len(system.data.split.test),
        "parameters": sum(weight.numel() for weight in system.network.parameters()),
        "baseline_peak_memory_bytes": system.after_imports,
    }
    return facts, handlers_of(system)


if __name__ == "__main__":
    sys.exit(answer_requests(load, sys.argv[1:]))
