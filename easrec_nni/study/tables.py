"""Cells of the paper's tables.

To add a table: one line in :data:`TABLES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from easrec_nni.study.cells import Cell
from easrec_nni.study.systems.ablations import FIXED_GATES, NO_WARMUP

__all__ = ["TABLES", "Grid", "TableDefinition"]


@dataclass(frozen=True)
class Grid:
    """All combinations of systems, seeds and swept settings: one NNI GridSearch experiment."""

    systems: tuple[str, ...]
    seeds: tuple[int, ...]
    parameters: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """Every combination, seeds outermost, so that an interrupted study has complete rounds."""
        combinations: list[dict[str, Any]] = [{}]
        for name, values in self.parameters.items():
            combinations = [{**partial, name: value} for partial in combinations for value in values]
        return [
            Cell(system, seed, parameters)
            for seed in self.seeds
            for system in self.systems
            for parameters in combinations
        ]


@dataclass(frozen=True)
class TableDefinition:
    """Systems, sweeps and seeds of a table.

    Attributes
    ----------
    title
        Title in plain words.
    systems
        Systems in the table's rows.
    parameters
        Values of each swept setting.
    seeds
        Default number of seeds.
    """

    title: str
    systems: tuple[str, ...]
    parameters: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: int = 5


_MODELS = ("sasrec", "sasrecf", "fdsa", "sasrec-linrec", "sasrecf-linrec", "fdsa-linrec")
_SEARCHED = ("easrec", "darts", "proxylessnas", "recnas")
_CONTROLS = ("gumbeldarts", "random", "evolution", "tpe")
_BASELINES = ("popularity", "itemknn")

TABLES: dict[str, TableDefinition] = {
    "table3": TableDefinition("accuracy of every system", (*_SEARCHED, *_MODELS, *_CONTROLS, *_BASELINES)),
    "table4": TableDefinition("what every system costs", (*_SEARCHED, *_MODELS, *_CONTROLS)),
    "table5": TableDefinition("data-aware gates of 2, 1 and no layers", ("easrec", "easrec-gates1", "easrec-gates0")),
    "ablations": TableDefinition(
        "EASRec with one thing changed each",
        (
            "easrec",
            "easrec-gates-from-1",
            "easrec-static",
            "easrec-printed",
            "easrec-training-loss",
            "easrec-independent",
            "easrec-scratch",
            "unpruned",
        ),
    ),
    "gates": TableDefinition("gates of networks that are not searched", tuple(system.name for system in FIXED_GATES)),
    "warmup": TableDefinition("the search with and without its warm-up", ("easrec", NO_WARMUP.name), seeds=3),
    "fig4": TableDefinition(
        "accuracy and cost over the trade-off", ("easrec",), {"lambda": (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)}, seeds=3
    ),
    "second-tier": TableDefinition(
        "models that the paper does not have",
        ("sasrec", "sasrec-elu", "sasrec-efficient", "bert4rec", "bert4rec-linformer", "core"),
    ),
}
