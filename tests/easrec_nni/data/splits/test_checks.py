"""Splits that leave too little are refused, and no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from easrec_nni.common.errors import UserError
from easrec_nni.data import leave_one_out, split_validation_users
from easrec_nni.data.batches.padding import prefix_samples, windows
from easrec_nni.data.splits.checks import check_trainable


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(1, 4), st.floats(0.01, 0.99))
def test_what_is_not_refused_can_be_trained_chosen_and_evaluated(
    lengths: list[int], max_length: int, share: float
) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    split = leave_one_out(offsets)
    log: Any = SimpleNamespace(offsets=offsets, split=split)
    samples = [windows(log, max_length, "all"), windows(log, max_length, "newest"), prefix_samples(log, max_length)]
    parts = [len(rows) for rows in split_validation_users(len(split.test.users), share, 0)]
    possible = min(parts) > 0 and min(int(each.targets.sum()) for each in samples) > 0
    try:
        check_trainable(offsets, split, n_items=2)
        refused = False
    except UserError:
        refused = True
    assert refused == (not possible)
