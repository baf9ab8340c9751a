"""Names of splits that other modules compare with, without importing the splits."""

from __future__ import annotations

__all__ = ["LEAVE_ONE_OUT", "NO_SPLIT"]

LEAVE_ONE_OUT = "leave-one-out"
"""The default: each user's last two interactions are the targets."""

NO_SPLIT = "none"
"""Everything trains: nothing is left to select or to test by."""
