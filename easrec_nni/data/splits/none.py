"""No split: everything trains, for a network that is served without being tested."""

from __future__ import annotations

from easrec_nni.common.errors import UserError
from easrec_nni.data.split_names import NO_SPLIT
from easrec_nni.data.splits.base import Interactions, Split, Targets

__all__ = ["split_none"]


def split_none(argument: str, log: Interactions) -> Split:
    """Split without targets; it takes no argument."""
    if argument:
        raise UserError(f"--split {NO_SPLIT}:{argument}: {NO_SPLIT} takes nothing behind a colon")
    ends = log.offsets[1:]
    return Split(NO_SPLIT, ends, ends, ends, Targets.none(), Targets.none(), NO_SPLIT)
