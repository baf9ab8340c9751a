from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from easrec_nni.data.arrays import ArrayWriter


@given(
    parts=st.lists(st.lists(st.integers(-1000, 1000), max_size=50), max_size=8),
    kind=st.sampled_from(["i4", "i8", "f8"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_are_one_array_that_numpy_reads(parts: list[list[int]], kind: str, tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path / "a.npy", kind)
    for part in parts:
        writer.append(np.array(part, dtype=np.int64))
    written, expected = writer.close(), np.array([number for part in parts for number in part], dtype=kind)
    for array in (written, np.load(tmp_path / "a.npy")):
        assert array.dtype == expected.dtype and np.array_equal(array, expected)


def test_what_is_mapped_cannot_be_written(tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path / "a.npy", "i4")
    writer.append(np.arange(3))
    with pytest.raises(ValueError, match="read-only"):
        writer.close()[0] = 1
