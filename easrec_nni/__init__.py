"""EASRec: elastic architecture search for efficient sequential recommenders, on Microsoft NNI.

What a program needs is re-exported here; spaces and strategies come from :mod:`search_spaces` and :mod:`strategies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from easrec_nni.common.lazy import lazy_names
from easrec_nni.common.threads import let_go_of_cores

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

let_go_of_cores()
__getattr__ = lazy_names(__name__)
