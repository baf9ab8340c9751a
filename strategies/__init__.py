"""How a space is searched.

To add a strategy: one file with a subclass of :class:`~strategies.easrec.EASRec` (or of NNI's ``OneShotStrategy``) that
changes what differs, and its name here. Costs come in as a table; nothing here imports ``easrec_nni`` or
``search_spaces``, so a strategy works on any NNI space made of ``LayerChoice`` and ``Repeat``.
"""

from strategies.constraint import ResourceConstraint
from strategies.easrec import EASRec
from strategies.selection import Selection, TemperatureSchedule

STRATEGIES: dict[str, type[EASRec]] = {"easrec": EASRec}
"""Differentiable strategies by the name that settings give them."""

__all__ = ["STRATEGIES", "EASRec", "ResourceConstraint", "Selection", "TemperatureSchedule"]
