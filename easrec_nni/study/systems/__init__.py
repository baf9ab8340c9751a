"""Registry of the systems in the paper's tables and their controls.

To add one: a :class:`~easrec_nni.study.systems.system.System` in the file of its group (or a new file), listed there,
with its changes to the settings that all systems share. Nothing else is needed: ``easrec systems`` lists it, ``easrec
reproduce --systems NAME`` runs it, ``easrec report`` shows it.
"""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.study.systems.ablations import ABLATIONS
from easrec_nni.study.systems.baselines import BASELINES
from easrec_nni.study.systems.searched import CONTROLS, STRATEGIES
from easrec_nni.study.systems.second_tier import SECOND_TIER
from easrec_nni.study.systems.sequence_models import SEQUENCE_MODELS
from easrec_nni.study.systems.system import GROUPS, System

__all__ = ["GROUPS", "SYSTEMS", "System", "find_systems"]

SYSTEMS: dict[str, System] = {
    system.name: system
    for group in (SEQUENCE_MODELS, STRATEGIES, CONTROLS, ABLATIONS, SECOND_TIER, BASELINES)
    for system in group
}
"""All systems by name, in the order of the tables."""


def find_systems(names: Sequence[str]) -> list[System]:
    """Systems by name, in the order given, each once.

    Raises
    ------
    UserError
        A name is unknown; the message suggests a similar one.
    """
    for name in names:
        if name not in SYSTEMS:
            hint = did_you_mean(name, SYSTEMS, otherwise="`easrec systems` lists them")
            raise UserError(f"there is no system {name!r}; {hint}")
    return [SYSTEMS[name] for name in dict.fromkeys(names)]
