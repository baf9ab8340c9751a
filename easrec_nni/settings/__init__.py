"""Settings of a run: the YAML file, ``--set KEY=VALUE``, and the examples that ``easrec init`` copies.

To add a setting: a field with a default and a description in ``trial.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from easrec_nni.settings.trial import (
        MaskingSettings,
        ObjectiveSettings,
        RetrainSettings,
        SearchSettings,
        TemperatureSettings,
        TrialSettings,
    )

__all__ = [
    "MaskingSettings",
    "ObjectiveSettings",
    "RetrainSettings",
    "SearchSettings",
    "TemperatureSettings",
    "TrialSettings",
]


def __getattr__(name: str) -> object:
    """Load the settings only when they are asked for: they need torch, and ``assignments`` and ``examples`` do not."""
    if name in __all__:
        from easrec_nni.settings import trial

        return getattr(trial, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
