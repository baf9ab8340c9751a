"""Search strategies for NNI model spaces.

A new differentiable strategy is a file with a subclass of :class:`~strategies.differentiable.DifferentiableStrategy`
that overrides what differs, and a name in :data:`STRATEGIES`; a strategy that trains each architecture is a function in
``multi_trial.py``; one that trains a supernet and compares its architectures afterwards is a class and a name in
:data:`SUPERNET_STRATEGIES`. Costs are given as a table; nothing here imports ``easrec_nni`` or ``search_spaces``, so
that a strategy works on any NNI space of ``LayerChoice`` and ``Repeat``.
"""

from strategies.budget import BudgetMultiplier
from strategies.constraint import ResourceConstraint
from strategies.darts import DARTS
from strategies.differentiable import DifferentiableStrategy
from strategies.easrec import EASRec
from strategies.elastic import Elastic
from strategies.gumbeldarts import GumbelDARTS
from strategies.multi_trial import MULTI_TRIAL_STRATEGIES
from strategies.processes import SingleProcess
from strategies.proxylessnas import ProxylessNAS
from strategies.recnas import RecNAS
from strategies.selection import Selection, TemperatureSchedule

STRATEGIES: dict[str, type[DifferentiableStrategy]] = {
    "easrec": EASRec,
    "darts": DARTS,
    "gumbeldarts": GumbelDARTS,
    "proxylessnas": ProxylessNAS,
    "recnas": RecNAS,
}
"""Differentiable strategies by their names in settings."""

SUPERNET_STRATEGIES: dict[str, type[Elastic]] = {"elastic": Elastic}
"""Strategies without architecture parameters: they train a supernet, whose architectures are then evaluated."""

__all__ = [
    "BudgetMultiplier",
    "DARTS",
    "MULTI_TRIAL_STRATEGIES",
    "STRATEGIES",
    "SUPERNET_STRATEGIES",
    "SingleProcess",
    "DifferentiableStrategy",
    "EASRec",
    "Elastic",
    "GumbelDARTS",
    "ProxylessNAS",
    "RecNAS",
    "ResourceConstraint",
    "Selection",
    "TemperatureSchedule",
]
