"""What can be built: attention, gates, blocks, and the search space that they make up.

To add a form of attention: a file in ``attention/`` and its name in ``ATTENTIONS``. To add another choice:
a field of ``SpaceConfig``, its use in ``block.py`` or ``embedding.py``, and its slice in ``sliced_state``; the test
that freezes every architecture of a small space then tells whether the slices are right. Nothing here imports
``easrec_nni`` or ``strategies``.
"""

import warnings

with warnings.catch_warnings():
    # NNI looks through torch's classes when it is imported and warns of each one that is younger than itself.
    warnings.filterwarnings("ignore", category=RuntimeWarning, message=".*is found to be not a nn.Module.*")
    import nni.nas.nn.pytorch  # noqa: F401

from search_spaces.config import Choice, SpaceConfig, candidate_label, parse_candidate_label
from search_spaces.space import EASRecSpace

__all__ = ["Choice", "EASRecSpace", "SpaceConfig", "candidate_label", "parse_candidate_label"]
