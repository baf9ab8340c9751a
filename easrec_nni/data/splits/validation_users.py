"""The two roles of validation users: some train architectures, the others select models."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["split_validation_users"]


def split_validation_users(n_eval: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide evaluated users into those that train architectures and those that select models.

    A validation target that trains architecture parameters must not also choose between the models
    that came out of it, so the two parts are disjoint. Neither part ever touches a test target.

    Parameters
    ----------
    n_eval : int
        Number of evaluated users, E.
    share : float
        Share of the users, between 0 and 1, for the architecture parameters. As long as it is
        neither 0 nor 1 and there are two users or more, both parts have at least one.
    seed : int
        Seed of the partition, 0 or more.

    Returns
    -------
    arch_rows, select_rows : ndarray of int64
        Numbers of the evaluated users, each ascending; together they are 0..E-1.

    Raises
    ------
    ValueError
        If `share` is not between 0 and 1 or `n_eval` is negative.
    """
    if not (0.0 <= share <= 1.0) or n_eval < 0:
        raise ValueError(f"share must be between 0 and 1 and n_eval 0 or more, not {share} and {n_eval}")
    size = math.floor(n_eval * share + 0.5)
    if 0.0 < share < 1.0 and n_eval >= 2:
        size = min(max(size, 1), n_eval - 1)
    rows = np.random.default_rng(seed).permutation(n_eval).astype(np.int64)
    return np.sort(rows[:size]), np.sort(rows[size:])
