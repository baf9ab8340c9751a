"""Worker for RecTools' SASRec (:mod:`benchmarks.peers.worker_loop`).

Runs in the environment of ``requirements-rectools.txt``, with RecTools' own data preparation, network, loss and
Lightning trainer. An epoch's time is from the request of its first batch to its end; what RecTools does once per
``fit``, before and after, is not counted.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from benchmarks.peers.log import Log
from benchmarks.peers.worker_loop import Handlers, answer_requests, handlers_of, timed, versions_of
from easrec_nni.bench.memory import peak_memory_bytes


class BatchTimer(pl.Callback):
    """Callback that reads the time at epoch start, after each batch, and at epoch end.

    The readings are shared by all copies that RecTools makes.
    """

    readings: ClassVar[list[float]] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start a new list of readings."""
        self.readings[:] = [time.perf_counter()]

    def on_train_batch_end(self, *_: Any) -> None:
        """Read the time after a batch."""
        self.readings.append(time.perf_counter())

    def on_train_epoch_end(self, *_: Any) -> None:
        """Read the time after the epoch."""
        self.readings.append(time.perf_counter())


def make_trainer(limit: int | None = None) -> pl.Trainer:
    """RecTools' default trainer, with a timer."""
    return pl.Trainer(
        max_epochs=1,
        min_epochs=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        enable_checkpointing=False,
        devices=1,
        accelerator="cpu",
        callbacks=[BatchTimer()],
        limit_train_batches=limit,
    )


class RecTools:
    """RecTools' SASRec on the training part of a log.

    Parameters
    ----------
    order
        ``log``: folder of the converted dataset; ``shape`` with RecTools' names (``n_blocks``, ``n_factors``, …);
        ``seed``; ``limit``: training batches of an epoch, all by default.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self.after_imports = peak_memory_bytes()
        self.log, shape = Log.read(order["log"]), order["shape"]
        self.length = shape["session_max_len"]
        torch.manual_seed(order["seed"])
        np.random.seed(order["seed"])
        users, places = self.log.training_part()
        frame = pd.DataFrame(
            {
                Columns.User: users,
                Columns.Item: self.log.items[places].astype(np.int64),
                Columns.Weight: 1.0,
                Columns.Datetime: pd.to_datetime(places, unit="s"),
            }
        )
        self.data = Dataset.construct(frame)
        self.model = SASRecModel(
            **shape, get_trainer_func=make_trainer, get_trainer_func_kwargs={"limit": order.get("limit")}
        )
        self.model._build_model_from_dataset(self.data)
        self.model.fit_trainer = self.model._trainer
        self.model.is_fitted = True  # fit_partial then continues with this network; its weights are drawn below
        self.network = self.model.lightning_model
        self.network._xavier_normal_init()
        self.network.is_fitted = True
        item_ids = self.model.data_preparator.item_id_map
        numbers = np.arange(1, self.log.n_items + 1)
        inner = item_ids.to_internal.reindex(numbers).fillna(0).to_numpy(dtype=np.int64)
        self.inner = np.concatenate([[0], inner])  # 0 where an item is in no training sequence
        self.batches: dict[tuple[str, int], list[torch.Tensor]] = {}

    def _histories(self, part: str, batch: int) -> list[torch.Tensor]:
        """Histories as RecTools' loader makes them: without unknown items, left-padded to N."""
        if (part, batch) not in self.batches:
            self.batches.clear()
            ids, _ = self.log.histories(part, self.length)
            inner = self.inner[ids]  # [E, N]
            order = np.argsort(inner != 0, axis=1, kind="stable")  # zeros first, items in their order
            left = torch.from_numpy(np.take_along_axis(inner, order, axis=1))
            self.batches[part, batch] = list(left.split(batch))
        return self.batches[part, batch]

    @torch.no_grad()
    def _scores(self, batches: list[torch.Tensor]) -> list[torch.Tensor]:
        network = self.network.torch_model.eval()
        items = network.item_model.get_all_embeddings()
        return [network.encode_sessions({"x": ids}, items)[:, -1] @ items.T for ids in batches]

    def score_pass(self, batch: int) -> dict[str, Any]:
        """Time to score the test users, with histories ready in memory."""
        ready = self._histories("test", batch)
        return timed(lambda: self._scores(ready))

    def scores(self, part: str, file: str, batch: int = 256) -> dict[str, Any]:
        """Write the scores of the evaluated users; time only the scoring."""
        ready, parts = self._histories(part, batch), []
        figures = timed(lambda: parts.extend(self._scores(ready)))
        scores = torch.cat(parts)[:, torch.from_numpy(self.inner)]
        scores[:, torch.from_numpy(self.inner == 0)] = -torch.inf
        np.save(file, scores.numpy())
        return figures

    def epoch(self) -> dict[str, Any]:
        """Time one epoch of RecTools' training."""
        processor = time.process_time()
        self.model.fit_partial(self.data, min_epochs=1, max_epochs=1)
        readings = BatchTimer.readings
        batches = [end - begin for begin, end in zip(readings, readings[1:-1], strict=False)]
        return {
            "seconds": readings[-1] - readings[0],
            "processor_seconds": time.process_time() - processor,
            "seconds_of_batches": batches,
            "batches": len(batches),
            "batches_of_an_epoch": len(self.model.data_preparator.get_dataloader_train()),
        }

    def save(self, file: str) -> dict[str, Any]:
        """Save the training state."""
        optimizer = self.network.configure_optimizers()
        state = {"model": self.network.torch_model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**state, "random": torch.get_rng_state()}, file)
        return {}

    def load(self, file: str) -> dict[str, Any]:
        """Restore the training state."""
        state = torch.load(file, weights_only=True)
        self.network.torch_model.load_state_dict(state["model"])
        self.network.configure_optimizers().load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        return {}


def load(order: dict[str, Any]) -> tuple[dict[str, Any], Handlers]:
    """Load the model; return its facts and request handlers."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    order["log"] = str(Path(order["log"]).absolute())
    os.chdir(tempfile.mkdtemp())
    torch.set_num_threads(order["threads"])
    system = RecTools(order)
    facts = {
        "versions": versions_of("RecTools", "torch", "pytorch-lightning", "numpy", "pandas"),
        "threads": torch.get_num_threads(),
        "test_users": len(system.log.users),
        "parameters": sum(weight.numel() for weight in system.network.torch_model.parameters()),
        "baseline_peak_memory_bytes": system.after_imports,
    }
    return facts, handlers_of(system)


if __name__ == "__main__":
    sys.exit(answer_requests(load, sys.argv[1:]))
