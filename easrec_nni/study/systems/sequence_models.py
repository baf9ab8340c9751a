"""Sequence models of the paper's Table III, with softmax attention and with LinRec."""

from __future__ import annotations

from typing import Any

from easrec_nni.study.systems.system import System

__all__ = ["SEQUENCE_MODELS"]

_SOURCES = {
    "sasrec": ("SASRec", "Kang and McAuley, ICDM 2018", {}),
    "sasrecf": ("SASRecF", "Zhang et al., IJCAI 2019, as in RecBole", {"space.features": "fused"}),
    "fdsa": ("FDSA", "Zhang et al., IJCAI 2019", {"space.features": "stream"}),
}


def _models(attention: str) -> list[System]:
    models = []
    for name, (title, source, features) in _SOURCES.items():
        changes: dict[str, Any] = {"space.attention": attention, "space.gate_layers": 0, **features}
        if attention == "linrec":
            name, title, source = f"{name}-linrec", f"{title} + LinRec", f"{source}; LinRec: Liu et al., SIGIR 2023"
        models.append(System(name, title, "sequence model", source, changes, fixed=True))
    return models


SEQUENCE_MODELS = tuple(_models("softmax") + _models("linrec"))
