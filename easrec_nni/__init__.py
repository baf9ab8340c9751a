"""EASRec: elastic architecture search for efficient sequential recommenders, on Microsoft NNI.

What a program needs is re-exported here; spaces and strategies come from :mod:`search_spaces` and :mod:`strategies`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from easrec_nni.architecture.document import Architecture
    from easrec_nni.common.errors import UserError
    from easrec_nni.data import Dataset, load_dataset, prepare
    from easrec_nni.evaluation.scoring import evaluate
    from easrec_nni.retraining.stage import retrain
    from easrec_nni.searching.stage import search
    from easrec_nni.serving import StreamingRecommender
    from easrec_nni.settings.trial import TrialSettings
    from search_spaces import Choice, EASRecSpace, SpaceConfig
    from strategies import EASRec

__all__ = [
    "Architecture",
    "Choice",
    "Dataset",
    "EASRec",
    "EASRecSpace",
    "SpaceConfig",
    "StreamingRecommender",
    "TrialSettings",
    "UserError",
    "evaluate",
    "load_dataset",
    "prepare",
    "retrain",
    "search",
]

_HOMES = {
    "Architecture": "easrec_nni.architecture.document",
    "Choice": "search_spaces",
    "Dataset": "easrec_nni.data",
    "EASRec": "strategies",
    "EASRecSpace": "search_spaces",
    "SpaceConfig": "search_spaces",
    "StreamingRecommender": "easrec_nni.serving",
    "TrialSettings": "easrec_nni.settings.trial",
    "UserError": "easrec_nni.common.errors",
    "evaluate": "easrec_nni.evaluation.scoring",
    "load_dataset": "easrec_nni.data",
    "prepare": "easrec_nni.data",
    "retrain": "easrec_nni.retraining.stage",
    "search": "easrec_nni.searching.stage",
}


def __getattr__(name: str) -> object:
    """Load what is asked for, and only that: torch and NNI take seconds, for which `easrec --help` should not wait."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'easrec_nni' has no attribute {name!r}")
