"""Repeated interactions of a log, and the ranking that suits it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["MANY_REPEATS", "Ranking", "count_repeats", "suited_ranking"]

Ranking = Literal["full", "unseen"]

MANY_REPEATS = 0.05
"""Share of repeated interactions above which a ranking without the user's history would hide what users do."""


def count_repeats(users: NDArray[np.integer], items: NDArray[np.integer]) -> int:
    """Number of interactions with an item that the user had before, over whole histories in any order.

    Examples
    --------
    >>> count_repeats(np.array([0, 0, 0, 1]), np.array([5, 6, 5, 5]))
    1
    """
    pairs = users.astype(np.int64) << 32 | items  # user and item in one number
    pairs.sort()
    return int(np.count_nonzero(pairs[1:] == pairs[:-1]))


def suited_ranking(repeats: int, interactions: int) -> Ranking:
    """Ranking that suits a log: ``unseen`` if (almost) no item returns in a history, else ``full``.

    Examples
    --------
    >>> suited_ranking(0, 1000), suited_ranking(300, 1000)
    ('unseen', 'full')
    """
    return "full" if repeats > MANY_REPEATS * max(interactions, 1) else "unseen"
