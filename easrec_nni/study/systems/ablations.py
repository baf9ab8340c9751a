"""EASRec with one thing changed each."""

from __future__ import annotations

from typing import Any

from easrec_nni.study.systems.system import System

__all__ = ["ABLATIONS"]


def _ablation(name: str, title: str, source: str, changes: dict[str, Any]) -> System:
    return System(f"easrec-{name}", f"EASRec, {title}", "ablation", source, changes)


ABLATIONS = (
    _ablation("gates1", "gates of 1 layer", "Table V", {"space.gate_layers": 1}),
    _ablation("gates0", "no gates", "Table V", {"space.gate_layers": 0}),
    _ablation("gates-from-1", "gates from layer 1", "Eq. 8 has l ≥ 2", {"space.gates_from": 1}),
    _ablation("static", "static constraint", "Eq. 15 without L_t / L", {"search.dynamic": False}),
    _ablation("printed", "constraint as printed", "Eq. 15, one layer's cost", {"search.constraint": "printed"}),
    _ablation("independent", "independent candidates", "Section II-C2", {"space.supernet": "independent"}),
    _ablation("shared", "shared candidates", "slices of one block", {"space.supernet": "shared"}),
    _ablation("scratch", "retrained from fresh weights", "Eq. 18 inherits", {"retrain.weights": "scratch"}),
    System(
        "unpruned",
        "EASRec's largest network",
        "ablation",
        "all widths and layers, with gates, not searched",
        fixed=True,
    ),
)
