"""What can be built: attention, gates, blocks, and the search space that they make up.

To add a form of attention: a file in ``attention/`` and its name in ``ATTENTIONS`` and ``ATTENTION_NAMES``. To add
another choice: a field of ``SpaceConfig``, its use in ``block.py`` or ``embedding.py``, and its slice in
``sliced_state``; the test that freezes every architecture of a small space then tells whether the slices are right.
Nothing here imports ``easrec_nni`` or ``strategies``.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

from search_spaces.config import Choice, SpaceConfig, candidate_label, parse_candidate_label

if TYPE_CHECKING:
    from search_spaces.network import EASRecNetwork
    from search_spaces.space import EASRecSpace

# NNI looks through torch's classes when it is imported and warns of each one that is younger than itself.
warnings.filterwarnings("ignore", category=RuntimeWarning, message=".*is found to be not a nn.Module.*")

__all__ = ["Choice", "EASRecNetwork", "EASRecSpace", "SpaceConfig", "candidate_label", "parse_candidate_label"]


_HOMES = {"EASRecNetwork": "search_spaces.network", "EASRecSpace": "search_spaces.space"}


def __getattr__(name: str) -> object:
    """Import a network when it is asked for: it needs torch, a space NNI too, and a configuration neither."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
