"""Search strategies, and the controls they must beat.

EASRec searches the space with data-aware gates under its dynamic constraint. The paper's other strategies search the
same widths and depths of SASRec + LinRec: no gates.
"""

from __future__ import annotations

from easrec_nni.study.systems.system import System

__all__ = ["CONTROLS", "STRATEGIES"]

_WITHOUT_GATES = {"space.gate_layers": 0}
# On MovieLens-100K, after the default two epochs, candidates are not better than popularity: selection needs more.
_TRIALS = {**_WITHOUT_GATES, "search.candidate_epochs": 5}

STRATEGIES = (
    System("easrec", "EASRec", "search strategy", "Zhang et al., the paper", {"search.strategy": "easrec"}),
    System(
        "darts",
        "DARTS + SASRec",
        "search strategy",
        "Liu et al., ICLR 2019; no resource constraint",
        {**_WITHOUT_GATES, "search.strategy": "darts", "lambda": 0.0},
    ),
    System(
        "proxylessnas",
        "ProxylessNAS + SASRec",
        "search strategy",
        "Cai et al., ICLR 2019",
        {**_WITHOUT_GATES, "search.strategy": "proxylessnas"},
    ),
    System(
        "recnas",
        "RecNAS + SASRec",
        "search strategy",
        "Peng et al., TNNLS 2022",
        {**_WITHOUT_GATES, "search.strategy": "recnas"},
    ),
)

CONTROLS = (
    System(
        "gumbeldarts",
        "GumbelDARTS + SASRec",
        "control",
        "SNAS: Xie et al., ICLR 2019; FBNet: Wu et al., CVPR 2019",
        {**_WITHOUT_GATES, "search.strategy": "gumbeldarts"},
    ),
    System(
        "random",
        "random search + SASRec",
        "control",
        "random architectures at equal total cost",
        {**_TRIALS, "search.strategy": "random"},
    ),
    System(
        "evolution",
        "regularised evolution + SASRec",
        "control",
        "Real et al., AAAI 2019; reward of accuracy and cost as in MONAS, Hsu et al. 2018",
        {**_TRIALS, "search.strategy": "evolution"},
    ),
    System(
        "tpe",
        "TPE + SASRec",
        "control",
        "Bergstra et al., NeurIPS 2011; reward of accuracy and cost as in MONAS, Hsu et al. 2018",
        {**_TRIALS, "search.strategy": "tpe"},
    ),
    System(
        "elastic",
        "elastic supernet + SASRec",
        "control",
        "sandwich rule: Yu and Huang, ICCV 2019; one supernet for every budget, see docs/elastic.md",
        {**_WITHOUT_GATES, "search.strategy": "elastic", "space.supernet": "shared"},
    ),
)
