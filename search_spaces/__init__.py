"""What can be built: attention, gates, blocks, and the search space that they make up.

To add a form of attention: a file in ``attention/`` and its name in ``ATTENTIONS``. To add another choice:
a field of ``SpaceConfig``, its use in ``block.py`` or ``embedding.py``, and its slice in ``sliced_state``; the test
that freezes every architecture of a small space then tells whether the slices are right. Nothing here imports
``easrec_nni`` or ``strategies``.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from search_spaces.config import Choice, SpaceConfig, candidate_label, parse_candidate_label

if TYPE_CHECKING:
    from search_spaces.space import EASRecSpace

# NNI looks through torch's classes when it is imported and warns of each one that is younger than itself.
warnings.filterwarnings("ignore", category=RuntimeWarning, message=".*is found to be not a nn.Module.*")

__all__ = ["Choice", "EASRecSpace", "SpaceConfig", "candidate_label", "parse_candidate_label"]


def __getattr__(name: str) -> object:
    """Load the space only when it is asked for: it needs torch and NNI, and a configuration does not."""
    if name == "EASRecSpace":
        from search_spaces.space import EASRecSpace

        return EASRecSpace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
