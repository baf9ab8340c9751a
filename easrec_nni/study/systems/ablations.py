"""Ablations: EASRec with one change each."""

from __future__ import annotations

from typing import Any

from easrec_nni.study.systems.system import System

__all__ = ["ABLATIONS", "FIXED_GATES", "NO_WARMUP"]


def _ablation(name: str, title: str, source: str, changes: dict[str, Any]) -> System:
    return System(f"easrec-{name}", f"EASRec, {title}", "ablation", source, changes)


def _fixed(name: str, title: str, source: str, changes: dict[str, Any]) -> System:
    return System(name, f"EASRec's largest network{title}", "ablation", source, changes, fixed=True)


FIXED_GATES = (
    _fixed("unpruned-gates0", ", no gates", "no search in the way", {"space.gate_layers": 0}),
    _fixed("unpruned", "", "all widths and layers, with gates, not searched", {}),
    _fixed("unpruned-gates1", ", gates of 1 layer", "Table V", {"space.gate_layers": 1}),
    _fixed("unpruned-gates-from-1", ", gates from layer 1", "Eq. 8 has l ≥ 2", {"space.gates_from": 1}),
    _fixed("unpruned-gamma1", ", γ = 1", "Eq. 8 has γ = 2", {"space.gate_scale": 1.0}),
    _fixed("unpruned-gamma4", ", γ = 4", "Eq. 8 has γ = 2", {"space.gate_scale": 4.0}),
)
"""Fixed networks that differ only in their gates; the one without gates comes first."""

NO_WARMUP = _ablation(
    "no-warmup",
    "no warm-up, rate of 0.05",
    "α, β from the first batch on; best epoch's network",
    {"search.warmup_epochs": 0, "search.arch_learning_rate": 0.05, "search.export": "best_epoch"},
)

ABLATIONS = (
    _ablation("gates1", "gates of 1 layer", "Table V", {"space.gate_layers": 1}),
    _ablation("gates0", "no gates", "Table V", {"space.gate_layers": 0}),
    _ablation("gates-from-1", "gates from layer 1", "Eq. 8 has l ≥ 2", {"space.gates_from": 1}),
    _ablation("static", "static constraint", "Eq. 15 without L_t / L", {"search.dynamic": False}),
    _ablation(
        "printed",
        "constraint as printed",
        "Eq. 15, one layer's cost",
        {"search.constraint": "printed", "search.arch_loss": "calibrated"},
    ),
    _ablation(
        "training-loss",
        "α and β by the loss of the weights",
        "Eq. 16: with dropout, scores as they are",
        {"search.arch_loss": "training"},
    ),
    _ablation("independent", "independent candidates", "Section II-C2", {"space.supernet": "independent"}),
    _ablation("shared", "shared candidates", "slices of one block", {"space.supernet": "shared"}),
    _ablation("scratch", "retrained from fresh weights", "Eq. 18 inherits", {"retrain.weights": "scratch"}),
    NO_WARMUP,
    *FIXED_GATES,
)
