"""Request of a quick run on a small dataset."""

from __future__ import annotations

import pytest

from easrec_nni.bench.measurement import BenchRequest
from easrec_nni.data import Dataset

SPACE = {"max_length": 8, "hidden": 16, "inner": 16, "heads": 2, "layers": 2, "inner_pruning": [0, 0.5]}


@pytest.fixture
def request_(tiny_dataset: Dataset) -> BenchRequest:
    settings = {"data": "tiny", "space": {**SPACE, "hidden_pruning": [0]}, "search": {"batch_size": 8}}
    return BenchRequest(dataset=str(tiny_dataset.path), settings=settings, threads=1, quick=True, repeats=2)
