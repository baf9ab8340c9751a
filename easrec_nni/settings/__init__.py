"""Settings of a run: YAML file, ``--set KEY=VALUE``, and the examples for ``easrec init``.

To add a setting: add a field with a default and a description in ``trial.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from easrec_nni.common.lazy import lazy_names

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

__getattr__ = lazy_names(__name__)
