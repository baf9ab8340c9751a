"""Time to prepare a dataset from its log."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import repeated, seconds_of, spread
from easrec_nni.data import prepare
from easrec_nni.data.dataset import Dataset

__all__ = ["MEASUREMENT"]


def _write_log(dataset: Dataset, file: Path) -> None:
    user = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))
    pd.DataFrame(
        {
            "user": dataset.user_ids[user],
            "item": dataset.item_ids[np.asarray(dataset.items)],
            "time": np.asarray(dataset.times),
        }
    ).to_csv(file, index=False)


def _measure(bench: Bench) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        log, out = Path(folder) / "log.csv", Path(folder) / "prepared"
        _write_log(bench.dataset, log)
        seconds = repeated(lambda: seconds_of(lambda: prepare(log, out, force=True)), bench.repeats)
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {"seconds": spread(seconds), "interactions": len(bench.dataset.items), "bytes_on_disk": size}


MEASUREMENT = Measurement("prepare", "the dataset's log, as CSV, read, split, sampled and written", _measure)
