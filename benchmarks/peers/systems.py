"""Systems to measure: shapes, variants, and their worker processes."""

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
    """Configuration a peer runs with.

    Attributes
    ----------
    allocator
        See :func:`easrec_nni.bench.machine.allocator_environment`.
    anomaly_detection
        Whether autograd's anomaly detection is on; RecBole switches it on when any sequential model is imported.
    """

    allocator: Allocator
    anomaly_detection: bool


VARIANTS = {"shipped": Variant("default", True), "tuned": Variant("keep", False)}
"""As installed, and tuned: freed memory stays with the process, no anomaly detection, fastest batch size."""


@dataclass(frozen=True)
class Shape:
    """Shape of a transformer over item sequences, in any library.

    Attributes
    ----------
    length
        Context length N.
    hidden, inner, layers, heads
        Hidden width d, inner width D, number of layers L, and number of attention heads.
    dropout
        Dropout rate everywhere.
    """

    length: int
    hidden: int
    inner: int
    layers: int
    heads: int
    dropout: float = 0.2

    def of_recbole(self) -> dict[str, Any]:
        """Shape under RecBole's setting names."""
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
        """Shape under RecTools' argument names; its inner width is always d."""
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
        """Shape as fields of our search space, with a single architecture."""
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


SHAPES = {
    "ml-100k": Shape(50, 64, 256, 2, 2),
    "ml-1m": Shape(200, 128, 256, 4, 4),
    "amazon-beauty": Shape(50, 64, 256, 2, 2, dropout=0.5),  # RecBole's defaults
    "amazon-toys": Shape(50, 64, 256, 2, 2, dropout=0.5),
}
"""Default shapes by dataset."""


@dataclass(frozen=True)
class Contestant:
    """A system under comparison, ready to start.

    Attributes
    ----------
    name
        Name in results.
    program
        Python interpreter and the module it runs.
    order
        Description of the system to load, sent to the process as JSON.
    allocator
        See :func:`easrec_nni.bench.machine.allocator_environment`.
    """

    name: str
    program: tuple[str, ...]
    order: dict[str, Any]
    allocator: Allocator

    def start(self) -> LineProcess:
        """Start the worker process and wait until it has loaded the system.

        Raises
        ------
        UserError
            The system cannot be loaded.
        """
        threads = str(self.order["threads"])
        environment = allocator_environment(self.allocator)
        paths = [str(HERE.parent.parent), *filter(None, [environment.get("PYTHONPATH")])]
        environment |= {"PYTHONPATH": ":".join(paths), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        return LineProcess(self.name, [*self.program, json.dumps(self.order)], environment)


def recbole(model: str, variant: str, log: Path, shape: Shape, threads: int, batch: int = 128) -> Contestant:
    """RecBole model; ``batch`` is its training batch size."""
    configuration = VARIANTS[variant]
    order = {
        "log": str(log),
        "model": model,
        "shape": shape.of_recbole(),
        "anomaly_detection": configuration.anomaly_detection,
        "train_batch": batch,
        "threads": threads,
        "seed": 0,
    }
    program = (str(python_of("recbole")), "-m", "benchmarks.peers.recbole_worker")
    return Contestant(f"RecBole {model}, {variant}", program, order, configuration.allocator)


def rectools(
    variant: str, log: Path, shape: Shape, threads: int, batch: int = 128, limit: int | None = None
) -> Contestant:
    """RecTools' SASRec; ``limit`` is the maximum number of batches per epoch."""
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
    """One of our networks; ``settings`` are trial settings that differ from the defaults."""
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
