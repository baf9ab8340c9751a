"""How a space is searched.

To add a strategy: one file with a subclass of :class:`~strategies.differentiable.DifferentiableStrategy` that changes
what differs, and its name in :data:`STRATEGIES`; one that trains each architecture is a function in ``multi_trial.py``.
Costs come in as a table; nothing here imports ``easrec_nni`` or ``search_spaces``, so a strategy works on any NNI space
made of ``LayerChoice`` and ``Repeat``.
"""

from strategies.constraint import ResourceConstraint
from strategies.darts import DARTS
from strategies.differentiable import DifferentiableStrategy
from strategies.easrec import EASRec
from strategies.gumbeldarts import GumbelDARTS
from strategies.multi_trial import MULTI_TRIAL_STRATEGIES
from strategies.processes import Alone
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
"""Differentiable strategies by the name that settings give them."""

__all__ = [
    "DARTS",
    "MULTI_TRIAL_STRATEGIES",
    "STRATEGIES",
    "Alone",
    "DifferentiableStrategy",
    "EASRec",
    "GumbelDARTS",
    "ProxylessNAS",
    "RecNAS",
    "ResourceConstraint",
    "Selection",
    "TemperatureSchedule",
]
