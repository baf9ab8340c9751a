"""The systems that are measured: their shapes, their variants, and the processes that hold them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.install import HERE, python_of
from easrec_nni.bench.machine import Allocator, allocator_environment
from easrec_nni.bench.worker_process import LineProcess

__all__ = ["RECBOLE_MODELS", "SHAPES", "VARIANTS", "Contestant", "Shape", "Variant", "ours", "recbole", "rectools"]

RECBOLE_MODELS = ("SASRec", "SASRecF", "FDSA")


@dataclass(frozen=True)
class Variant:
    """How a peer is run.

    Attributes
    ----------
    allocator
        See :func:`easrec_nni.bench.machine.allocator_environment`.
    anomaly_detection
        Whether autograd's anomaly detection is on, which RecBole switches on when any sequential model is imported.
    """

    allocator: Allocator
    anomaly_detection: bool


VARIANTS = {"shipped": Variant("default", True), "tuned": Variant("keep", False)}
"""As a user gets it, and at its best: memory stays with the process, no anomaly detection (and the best batch size)."""


@dataclass(frozen=True)
class Shape:
    """A transformer over item sequences, for whatever library.

    Attributes
    ----------
    length
        N, items that it looks back on.
    hidden, inner, layers, heads
        d, D, L and the number of heads.
    dropout
        Of everything.
    """

    length: int
    hidden: int
    inner: int
    layers: int
    heads: int
    dropout: float = 0.2

    def of_recbole(self) -> dict[str, Any]:
        """RecBole's names."""
        return {
            "MAX_ITEM_LIST_LENGTH": self.length,
            "hidden_size": self.hidden,
            "embedding_size": self.hidden,
            "inner_size": self.inner,
            "n_layers": self.layers,
            "n_heads": self.heads,
            "hidden_dropout_prob": self.dropout,
            "attn_dropout_prob": self.dropout,
        }

    def of_rectools(self, batch: int) -> dict[str, Any]:
        """RecTools' names; its inner width is always d."""
        return {
            "session_max_len": self.length,
            "n_factors": self.hidden,
            "n_blocks": self.layers,
            "n_heads": self.heads,
            "dropout_rate": self.dropout,
            "batch_size": batch,
            "loss": "softmax",
            "lr": 1e-3,
        }

    def of_ours(self, **changes: Any) -> dict[str, Any]:
        """Our names, without anything to choose."""
        return {
            "max_length": self.length,
            "hidden": self.hidden,
            "inner": self.inner,
            "layers": self.layers,
            "min_depth": self.layers,
            "heads": self.heads,
            "dropout": self.dropout,
            "hidden_pruning": [0.0],
            "inner_pruning": [0.0],
            **changes,
        }


SHAPES = {"ml-100k": Shape(50, 64, 256, 2, 2), "ml-1m": Shape(200, 128, 256, 4, 4)}
"""The shapes of the comparisons, by dataset; of others, options say it."""


@dataclass(frozen=True)
class Contestant:
    """A system that can be started.

    Attributes
    ----------
    name
        In results.
    program
        Python and the module that it runs.
    order
        What the process is told to load.
    allocator
        How its memory is managed.
    """

    name: str
    program: tuple[str, ...]
    order: dict[str, Any]
    allocator: Allocator

    def start(self) -> LineProcess:
        """The process, when it has loaded the system.

        Raises
        ------
        UserError
            It cannot.
        """
        threads = str(self.order["threads"])
        environment = allocator_environment(self.allocator)
        paths = [str(HERE.parent.parent), *filter(None, [environment.get("PYTHONPATH")])]
        environment |= {"PYTHONPATH": ":".join(paths), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        return LineProcess(self.name, [*self.program, json.dumps(self.order)], environment)


def recbole(model: str, variant: str, log: Path, shape: Shape, threads: int, batch: int = 128) -> Contestant:
    """A model of RecBole; ``batch`` is of training."""
    chosen = VARIANTS[variant]
    order = {
        "log": str(log),
        "model": model,
        "shape": shape.of_recbole(),
        "anomaly_detection": chosen.anomaly_detection,
        "train_batch": batch,
        "threads": threads,
        "seed": 0,
    }
    program = (str(python_of("recbole")), "-m", "benchmarks.peers.recbole_worker")
    return Contestant(f"RecBole {model}, {variant}", program, order, chosen.allocator)


def rectools(
    variant: str, log: Path, shape: Shape, threads: int, batch: int = 128, limit: int | None = None
) -> Contestant:
    """RecTools' SASRec; ``limit`` ends its epochs after so many batches."""
    order = {"log": str(log), "shape": shape.of_rectools(batch), "threads": threads, "seed": 0, "limit": limit}
    program = (str(python_of("rectools")), "-m", "benchmarks.peers.rectools_worker")
    return Contestant(f"RecTools SASRec, {variant}", program, order, VARIANTS[variant].allocator)


def ours(
    name: str,
    allocator: Allocator,
    dataset: Path,
    space: dict[str, Any],
    choices: dict[str, Any],
    threads: int,
    settings: dict[str, Any] | None = None,
    compiled: bool = False,
) -> Contestant:
    """One of our networks, with scoring ``compiled`` or not; ``settings`` are what of a trial's is not the default."""
    order = {
        "dataset": str(dataset.absolute()),
        "space": space,
        "choices": choices,
        "settings": settings or {},
        "compiled": compiled,
        "threads": threads,
        "seed": 0,
    }
    program = (sys.executable, "-m", "benchmarks.peers.easrec_worker")
    return Contestant(f"ours, {name}, {allocator}", program, order, allocator)
