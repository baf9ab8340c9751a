"""Worker for RecBole's sequential models (:mod:`benchmarks.peers.worker_loop`).

Runs in the environment of ``requirements-recbole.txt``. :func:`_patch_numpy` makes RecBole 1.2.1 run with current
numpy; ``quick_start`` is not used, since it needs ray.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers.log import Log
from benchmarks.peers.worker_loop import Handlers, TimedBatches, answer_requests, handlers_of, timed, versions_of
from easrec_nni.bench.memory import peak_memory_bytes

WITH_FEATURES = ("SASRecF", "FDSA")


def _patch_numpy() -> None:
    """Restore names that numpy 2 has removed and RecBole imports; ignore warnings."""
    warnings.filterwarnings("ignore")
    for name, kind in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
        setattr(np, name, kind)


class RecBole:
    """RecBole model with RecBole's trainer.

    Parameters
    ----------
    order
        ``log``: folder of the converted dataset; ``model``; ``anomaly_detection``; ``train_batch``; ``seed``; and
        ``shape`` with RecBole's names (``n_layers``, ``hidden_size``, …, ``MAX_ITEM_LIST_LENGTH``).
    """

    def __init__(self, order: dict[str, Any]) -> None:
        from recbole.config import Config
        from recbole.data import create_dataset
        from recbole.utils import get_model, init_seed

        self.log, self.length = Log.read(order["log"]), order["shape"]["MAX_ITEM_LIST_LENGTH"]
        settings = self._settings(order)
        self.config = Config(model=order["model"], dataset="log", config_dict=settings)
        # Importing any sequential model switches anomaly detection on for the whole process: so RecBole is shipped.
        model_class = get_model(self.config["model"])
        torch.autograd.set_detect_anomaly(order["anomaly_detection"])
        self.after_imports = peak_memory_bytes()
        init_seed(self.config["seed"], self.config["reproducibility"])
        self.data = create_dataset(self.config)
        numbers = [str(item) for item in range(1, self.log.n_items + 1)]
        self.inner = torch.from_numpy(np.concatenate([[0], self.data.token2id("item_id", numbers)]).astype(np.int64))
        self.data._change_feat_format()  # models with item features read tensors, before training data is built
        self.data._change_feat_format = lambda: None  # which would do it again
        self.model = model_class(self.config, self.data)
        self.trainer: Any = None
        self.train_data: Any = None
        self.batches: dict[tuple[str, int], list[Any]] = {}

    def _settings(self, order: dict[str, Any]) -> dict[str, Any]:
        columns = {"inter": ["user_id", "item_id", "timestamp"]}
        if order["model"] in WITH_FEATURES:
            if not self.log.features:
                raise ValueError(f"{order['model']} needs item features, and the dataset has none")
            feature = "genre" if "genre" in self.log.features else self.log.features[0]
            columns["item"] = ["item_id", feature]
            order["shape"]["selected_features"] = [feature]
        return {
            **order["shape"],
            "data_path": str(self.log.folder),
            "load_col": columns,
            "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
            "train_neg_sample_args": None,  # cross entropy over all items draws none
            "train_batch_size": order["train_batch"],
            "seed": order["seed"],
            "use_gpu": False,
            "show_progress": False,
            "checkpoint_dir": os.getcwd(),
        }

    def _interactions(self, part: str, batch: int) -> list[Any]:
        """Histories as RecBole's loader makes them: right-padded to N, with RecBole's item ids."""
        from recbole.data.interaction import Interaction

        if (part, batch) not in self.batches:
            self.batches.clear()
            ids, lengths = (torch.from_numpy(array) for array in self.log.histories(part, self.length))
            ids = self.inner[ids]
            self.batches[part, batch] = [
                Interaction({"item_id_list": rows, "item_length": length})
                for rows, length in zip(ids.split(batch), lengths.split(batch), strict=True)
            ]
        return self.batches[part, batch]

    @torch.no_grad()
    def score_pass(self, batch: int) -> dict[str, Any]:
        """Time to score the test users, with histories ready in memory."""
        self.model.eval()
        ready = self._interactions("test", batch)

        def run() -> None:
            for interaction in ready:
                self.model.full_sort_predict(interaction)

        return timed(run)

    @torch.no_grad()
    def scores(self, part: str, file: str, batch: int = 256) -> dict[str, Any]:
        """Write the scores of the evaluated users; time only the scoring."""
        self.model.eval()
        ready = self._interactions(part, batch)
        parts: list[torch.Tensor] = []
        figures = timed(lambda: parts.extend(self.model.full_sort_predict(interaction) for interaction in ready))
        np.save(file, torch.cat(parts)[:, self.inner].numpy())
        return figures

    def _prepare_training(self) -> None:
        from recbole.data import data_preparation
        from recbole.utils import get_trainer

        if self.trainer is None:
            self.train_data = data_preparation(self.config, self.data)[0]
            self.trainer = get_trainer(self.config["MODEL_TYPE"], self.config["model"])(self.config, self.model)
            self.epochs = 0

    def train_batches(self, count: int, warmup: int) -> dict[str, Any]:
        """Time training batches in RecBole's loop, after a warm-up."""
        self._prepare_training()
        batches = TimedBatches(self.train_data, warmup + count)
        self.trainer._train_epoch(batches, 0)
        return {"seconds": batches.seconds()[warmup:], "batches_of_an_epoch": len(self.train_data)}

    def epoch(self) -> dict[str, Any]:
        """Time one epoch of RecBole's loop."""
        self._prepare_training()
        figures = timed(lambda: self.trainer._train_epoch(self.train_data, self.epochs))
        self.epochs += 1
        return {**figures, "batches": len(self.train_data)}

    def save(self, file: str) -> dict[str, Any]:
        """Save the training state."""
        self._prepare_training()
        state = {"model": self.model.state_dict(), "optimizer": self.trainer.optimizer.state_dict()}
        torch.save({**state, "epochs": self.epochs, "random": torch.get_rng_state()}, file)
        return {}

    def load(self, file: str) -> dict[str, Any]:
        """Restore the training state."""
        self._prepare_training()
        state = torch.load(file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.trainer.optimizer.load_state_dict(state["optimizer"])
        self.epochs = state["epochs"]
        torch.set_rng_state(state["random"])
        return {}


def load(order: dict[str, Any]) -> tuple[dict[str, Any], Handlers]:
    """Load a model; return its facts and request handlers."""
    _patch_numpy()
    order["log"] = str(Path(order["log"]).absolute())
    os.chdir(tempfile.mkdtemp())  # RecBole creates folders in the working directory
    sys.argv = sys.argv[:1]  # RecBole would read them as its settings
    torch.set_num_threads(order["threads"])
    system = RecBole(order)
    facts = {
        "versions": versions_of("recbole", "torch", "numpy", "pandas"),
        "threads": torch.get_num_threads(),
        "test_users": len(system.log.users),
        "parameters": sum(weight.numel() for weight in system.model.parameters()),
        "baseline_peak_memory_bytes": system.after_imports,
    }
    return facts, handlers_of(system)


if __name__ == "__main__":
    sys.exit(answer_requests(load, sys.argv[1:]))
