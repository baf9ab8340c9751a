"""Search space of EASRec: attention, gates, blocks, networks and the supernet.

A new form of attention is a file in ``attention/`` and a name in ``ATTENTIONS`` and ``ATTENTION_NAMES``. Another choice
is a field of ``SpaceConfig``, used in ``block.py`` or ``embedding.py``, and its slice in ``sliced_state``; the test
that freezes every architecture of a small space checks the slices. Nothing here imports ``easrec_nni`` or
``strategies``.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

from search_spaces.config import Choice, SpaceConfig, candidate_label, parse_candidate_label

if TYPE_CHECKING:
    from search_spaces.network import EASRecNetwork
    from search_spaces.space import EASRecSpace

# When imported, NNI inspects torch's classes and warns about each one that is newer than NNI.
warnings.filterwarnings("ignore", category=RuntimeWarning, message=".*is found to be not a nn.Module.*")

__all__ = ["Choice", "EASRecNetwork", "EASRecSpace", "SpaceConfig", "candidate_label", "parse_candidate_label"]


_HOMES = {"EASRecNetwork": "search_spaces.network", "EASRecSpace": "search_spaces.space"}


def __getattr__(name: str) -> object:
    """Import networks lazily: they need torch, spaces also NNI, and configurations neither."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
