"""Models and attention mechanisms that the paper does not compare."""

from __future__ import annotations

from easrec_nni.study.systems.system import System

__all__ = ["SECOND_TIER"]

_PLAIN = {"space.gate_layers": 0}
_BERT = {**_PLAIN, "space.objective": "masked", "space.direction": "bidirectional", "mode": "masked"}

SECOND_TIER = (
    System(
        "bert4rec",
        "BERT4Rec",
        "second tier",
        "Sun et al., CIKM 2019",
        {**_BERT, "space.attention": "softmax"},
        fixed=True,
    ),
    System("core", "CORE", "second tier", "Hou et al., SIGIR 2022", {**_PLAIN, "space.head": "core"}, fixed=True),
    System(
        "sasrec-elu",
        "SASRec + elu attention",
        "second tier",
        "Katharopoulos et al., ICML 2020",
        {**_PLAIN, "space.attention": "elu"},
        fixed=True,
    ),
    System(
        "sasrec-efficient",
        "SASRec + efficient attention",
        "second tier",
        "Shen et al., WACV 2021",
        {**_PLAIN, "space.attention": "efficient"},
        fixed=True,
    ),
    System(
        "bert4rec-linformer",
        "BERT4Rec + Linformer",
        "second tier",
        "Wang et al., arXiv 2006.04768; bidirectional only",
        {**_BERT, "space.attention": "linformer"},
        fixed=True,
    ),
)
