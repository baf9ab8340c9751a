"""The partition of validation users."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easrec_nni.data import split_validation_users


@given(st.integers(0, 200), st.floats(0, 1), st.integers(0, 5))
def test_validation_users_are_partitioned(n_eval: int, share: float, seed: int) -> None:
    arch, select = split_validation_users(n_eval, share, seed)
    assert sorted([*arch.tolist(), *select.tolist()]) == list(range(n_eval))
    assert arch.tolist() == sorted(arch) and select.tolist() == sorted(select)
    assert abs(len(arch) - n_eval * share) <= 1
    if 0 < share < 1 and n_eval >= 2:
        assert len(arch) and len(select)


def test_partition_depends_on_the_seed_only() -> None:
    first, again, other = (split_validation_users(100, 0.5, seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_bad_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        split_validation_users(10, share, 0)
