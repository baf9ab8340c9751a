"""Synthetic study folders, as written by `easrec reproduce`, without training."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from easrec_nni.architecture.document import Architecture
from easrec_nni.report import write_report
from easrec_nni.study.cells import Cell
from easrec_nni.study.systems import SYSTEMS
from search_spaces import SpaceConfig

PROTOCOLS = ("full", "unseen", "pop100", "pop100_recbole", "uni100")
FACTORS = {"full": 1.0, "unseen": 0.9, "pop100": 0.1, "pop100_recbole": 0.13, "uni100": 0.05}
SPACE = SpaceConfig(n_items=1682, max_length=50, hidden=64, inner=128, heads=2, layers=4)
VERSIONS = {"python": "3.11.7", "torch": "2.13.0+cpu", "nni": "3.0"}


def ranks_of(system: str, seed: int, users: int, strength: float) -> dict[str, NDArray[np.int64]]:
    """Ranks with the same user difficulty for all systems, plus noise by system and seed."""
    hardness = np.random.default_rng(1).normal(4.2, 1.6, users)
    noise = np.random.default_rng([sum(system.encode()), seed]).normal(-strength, 0.45, users)
    base = np.exp(hardness + noise)
    return {name: np.maximum(1, np.rint(base * FACTORS[name])).astype(np.int64) for name in PROTOCOLS}


def figures_of(ranks: Mapping[str, NDArray[np.int64]]) -> dict[str, float]:
    """Independent implementation of Recall, MRR and NDCG at 10."""
    figures = {}
    for name, array in ranks.items():
        hit = array <= 10
        figures[f"recall@10_{name}"] = float(hit.mean())
        figures[f"mrr@10_{name}"] = float(np.where(hit, 1 / array, 0).mean())
        figures[f"ndcg@10_{name}"] = float(np.where(hit, 1 / np.log2(array + 1), 0).mean())
    return figures


def dataset_document(name: str = "ml-100k", users: int = 60) -> dict[str, Any]:
    return {"name": name, "fingerprint": f"fingerprint of {name}", "n_users": users, "n_items": 1682}


def write_cell(
    study: Path,
    system: str,
    seed: int,
    *,
    strength: float = 0.0,
    parameters: Mapping[str, Any] | None = None,
    users: int = 60,
    dataset: str = "ml-100k",
    madds: float = 4_000_000.0,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a complete cell; ``changes`` replace keys of its result."""
    parameters = dict(parameters or {})
    folder = study / "cells" / Cell(system, seed, parameters).path
    folder.mkdir(parents=True)
    ranks = ranks_of(system, seed, users, strength)
    np.savez_compressed(folder / "ranks.npz", **{f"test_{name}": array for name, array in ranks.items()})
    definition = SYSTEMS[system]
    baseline = definition.baseline is not None
    searched = not definition.fixed and not baseline
    rng = np.random.default_rng([sum(system.encode()), seed, 5])
    choices = {"hidden_pruning": 0.25 * (seed % 2), "inner_pruning": 0.5, "depth": 2} if searched else None
    figures = figures_of(ranks)
    valid = {key: min(1.0, value * 1.03) for key, value in figures.items()}
    beyond = {"coverage@10_full": 0.4 + strength / 10, "mean_popularity@10_full": 150.0 - 20 * strength}
    result = {
        "schema_version": 1,
        "system": system,
        "title": definition.title,
        "group": definition.group,
        "source": definition.source,
        "seed": seed,
        "parameters": parameters,
        "dataset": dataset_document(dataset, users),
        "test": {**figures, **beyond},
        "valid": valid,
        "valid_selection_users": {**valid, "ndcg@10_full_standard_error": 0.007},
        "cost": {}
        if baseline
        else {
            "madds_per_user": madds,
            "executed_madds_per_user": madds * 0.6,
            "block_madds_per_user": madds * 0.9,
            "gate_madds_per_user": 0.0,
            "scoring_madds_per_user": madds * 0.1,
            "parameters": 100_000 + madds / 40,
            "embedding_bytes": 443_648,
        },
        "bytes_on_disk": 0 if baseline else int(400_000 + madds / 10),
        "choices": choices,
        "budget": {
            "search_epochs": 8 if searched else 0,
            "retrain_epochs": 0 if baseline else 16 if searched else 24,
            "patience": 10,
            "batch_size": 32,
            "hyperparameter_trials": 1,
        },
        "training": {"search_seconds": 0.0, "retrain_seconds": 0.01}
        if baseline
        else {
            "search_seconds": 99.5 + seed if searched else 0.0,
            "search_epochs_run": 8 if searched else 0,
            "retrain_seconds": 37.0 + seed,
            "retrain_epochs_run": 16,
            "best_epoch": 11,
            "threads": 1,
            "peak_memory_bytes": 880_000_000,
        },
        "settings": {"data": dataset, "seed": seed, "search": {"lambda": parameters.get("lambda", 0.2)}},
        "versions": VERSIONS,
        "commit": "af80ed3d9411",
        "command": "easrec reproduce table3",
        "written": f"2026-11-24T02:36:{seed:02d}Z",
        **(changes or {}),
    }
    (folder / "result.json").write_text(json.dumps(result))
    if searched:
        by_trials = system in ("random", "evolution", "tpe")
        _write_search(folder / "search", rng, seed, strength, parameters.get("lambda", 0.2), choices or {}, by_trials)
    if not baseline:
        rise = [figures["ndcg@10_full"] * (1 - 0.6 * 0.8**epoch) + rng.normal(0, 0.002) for epoch in range(16)]
        rows = [
            {"epoch": epoch, "train_loss": 5 + 2 * 0.8**epoch, "seconds": 2.1, "ndcg@10_full": max(value, 0)}
            for epoch, value in enumerate(rise)
        ]
        _write_csv(folder / "retrained" / "history.csv", rows)
    return folder


def _write_csv(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.parent.mkdir(parents=True)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


WIDTHS = [f"hidden{h}_inner{i}" for h in (0, 25, 50) for i in (0, 25, 50)]


def _options(epoch: int) -> dict[str, float]:
    """Probability, cross entropy and charge of each width and depth."""
    columns: dict[str, float] = {}
    for options in ([f"alpha_{width}" for width in WIDTHS], [f"beta_{depth}" for depth in (1, 2, 3, 4)]):
        for index, option in enumerate(options):
            columns[option] = (1 + 0.1 * index * epoch) / sum(1 + 0.1 * i * epoch for i in range(len(options)))
            columns[f"cross_entropy_{option}"] = 6 - 0.1 * epoch - 0.01 * index
            columns[f"constraint_{option}"] = 0.02 * index
    return columns


def _write_search(
    folder: Path,
    rng: np.random.Generator,
    seed: int,
    strength: float,
    trade_off: float,
    choices: Mapping[str, Any],
    by_trials: bool,
) -> None:
    level = 0.25 + 0.05 * strength + 0.02 * seed
    rows = [
        {
            "epoch": epoch,
            "train_loss": 7 - 0.2 * epoch,
            "seconds": 10.5,
            "ndcg@10_full": 0.01 + 0.004 * epoch,
            **choices,
            "expected_cost": level + 0.3 * 0.7**epoch + rng.normal(0, 0.01),
            "argmax_cost": level,
            **(
                {"reward": 0.03, "price": 1.0}
                if by_trials
                else {
                    "temperature": 1 - 0.1 * epoch,
                    "entropy_depth": 1.386 * (1 - 0.06 * epoch),
                    "entropy_pruning": 2.197 * (1 - 0.03 * epoch),
                    "warmup": float(epoch < 2),
                    **_options(epoch),
                }
            ),
        }
        for epoch in range(8)
    ]
    _write_csv(folder / "state" / "history.csv", rows)
    labels = WIDTHS
    pruning = rng.dirichlet(np.where([label == "hidden0_inner50" for label in labels], 12.0, 1.0))
    depth = rng.dirichlet([2.0, 12.0, 1.0, 1.0])
    Architecture.model_validate(
        {
            "choices": choices,
            "space": SPACE,
            "seed": seed,
            "lambda": trade_off,
            "probabilities": {
                "pruning": dict(zip(labels, pruning.tolist(), strict=True)),
                "depth": {str(number): float(value) for number, value in enumerate(depth, start=1)},
            },
        }
    ).write(folder / "architecture.json")


def write_study(
    path: Path,
    systems: Mapping[str, float],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    users: int = 60,
    dataset: str = "ml-100k",
    tables: Sequence[str] = ("table3",),
    sweep: Sequence[float] = (),
    efficiency: bool = True,
    madds: Mapping[str, float] | None = None,
) -> Path:
    """Write a study of systems with given strengths (0: none; 0.1: better on many users)."""
    madds = madds or {}
    for system, strength in systems.items():
        for seed in seeds:
            cost = madds.get(system, 4_000_000.0)
            write_cell(path, system, seed, strength=strength, users=users, dataset=dataset, madds=cost)
    for value in sweep:
        for seed in seeds[:3]:
            write_cell(
                path,
                "easrec",
                seed,
                strength=systems.get("easrec", 0.0) - value / 10,
                parameters={"lambda": value},
                users=users,
                dataset=dataset,
                madds=7_000_000.0 - 5_000_000 * value + 300_000 * seed,
            )
    document = {
        "schema_version": 1,
        "tables": list(tables),
        "dataset": dataset_document(dataset, users),
        "systems": list(systems),
        "seeds": list(seeds),
        "parameters": {"lambda": list(sweep)} if sweep else {},
        "settings": {"data": dataset, "search": {"epochs": 8, "lambda": 0.2}, "retrain": {"epochs": 16}},
        "budget": "small",
        "command": "easrec reproduce table3 --dataset ml-100k --budget small",
        "commit": "af80ed3d9411",
        "versions": VERSIONS,
    }
    (path / "study.json").write_text(json.dumps(document))
    if efficiency:
        write_efficiency(path, [name for name in systems if SYSTEMS[name].baseline is None])
    return path


def write_efficiency(path: Path, systems: Sequence[str]) -> None:
    rows = []
    for number, system in enumerate(systems):
        median = 0.04 + 0.006 * number
        rows.append(
            {
                "system": system,
                "seed": 0,
                "inference_seconds_test_set": _spread(median),
                "inference_ms_per_user": _spread(median * 1.06),
                "latency_ms_batch1": _spread(1.1 + number / 10),
                "throughput_batch": 256,
                "parameters": {},
                "peak_memory_bytes": 310_000_000 + 4_000_000 * number,
                "baseline_peak_memory_bytes": 270_000_000,
                "bytes_on_disk": 712_345,
            }
        )
    machine = {"processor": "x86", "cores": 2, "memory_bytes": 25_000_000_000}
    document = {"schema_version": 1, "machine": machine, "threads": 2, "repeats": 5, "rows": rows}
    document["load_average"] = {"before": [0.4, 0.2, 0.1], "after": [1.0, 0.4, 0.2]}
    (path / "efficiency.json").write_text(json.dumps(document))


def _spread(median: float) -> dict[str, float]:
    return {"median": median, "min": median * 0.93, "max": median * 1.2}


@pytest.fixture(name="write_study")
def _write_study() -> Callable[..., Path]:
    return write_study


@pytest.fixture(name="write_cell")
def _write_cell() -> Callable[..., Path]:
    return write_cell


@pytest.fixture(scope="session")
def report(full_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the report of :func:`full_study`."""
    return write_report([full_study], tmp_path_factory.mktemp("report") / "out").parent


@pytest.fixture(scope="session")
def full_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Study with content for every chapter."""
    systems = {
        "sasrec": 0.1,
        "sasrec-linrec": 0.1,
        "easrec": 0.3,
        "darts": 0.2,
        "random": 0.0,
        "easrec-gates1": 0.25,
        "easrec-gates0": 0.1,
        "easrec-static": 0.3,
        "popularity": -0.8,
    }
    return write_study(
        tmp_path_factory.mktemp("studies") / "full",
        systems,
        users=120,
        tables=("table3", "table5", "ablations", "fig4"),
        sweep=(0.0, 0.2, 1.0),
        madds={"sasrec": 8_000_000.0},
    )
