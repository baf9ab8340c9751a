"""Fingerprints of earlier versions, which read and sorted logs with pandas and pyarrow."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.data import Dataset, PrepareSettings, prepare

CORE = PrepareSettings(min_user_interactions=5, min_item_interactions=5, min_rating=3)


def test_movielens_100k(ml100k: Dataset, tmp_path: Path) -> None:
    assert ml100k.fingerprint == "57b3a8ad847060f4ae72e54df3bebb4c0ddb67303f5ba3f8c79a237fe188e67f"
    fresh = prepare("ml-100k", tmp_path / "out")
    assert fresh.fingerprint == ml100k.fingerprint
    ids = "\n".join(fresh.user_ids.tolist()) + "|" + "\n".join(fresh.item_ids.tolist())
    assert hashlib.sha256(ids.encode()).hexdigest().startswith("3adba271ef26")
    assert hashlib.sha256(fresh.times.tobytes()).hexdigest().startswith("2d7dcf2ad666")
    core = prepare("ml-100k", tmp_path / "core", settings=CORE)
    assert core.fingerprint.startswith("b810625f955498d8")
    assert core.manifest.dropped == {
        "interactions with a rating below 3": 17480,
        "interactions outside the 5/5 user/item core": 823,
        "items outside the 5/5 user/item core": 371,
    }


@pytest.mark.parametrize(
    ("settings", "fingerprint"),
    [
        (PrepareSettings(), "618501813bfb5127"),
        (PrepareSettings(min_rating=2), "8ac0aedf0a4c7018"),
        (
            PrepareSettings(min_user_interactions=15, min_item_interactions=8, drop_duplicates=False),
            "ff373fdbd5376bd3",
        ),
    ],
)
def test_a_log_with_equal_times(settings: PrepareSettings, fingerprint: str, tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(5), 20_000
    users, items = rng.integers(0, 800, rows), (900 * rng.random(rows) ** 2).astype(int)
    times, ratings = rng.integers(0, 3000, rows), rng.integers(1, 6, rows)
    columns = zip(users, items, times, ratings, strict=True)
    lines = [f"u{user},i{item},{time},{rating}" for user, item, time, rating in columns]
    (tmp_path / "log.csv").write_text("user,item,time,rating\n" + "\n".join(lines) + "\n")
    assert prepare(tmp_path / "log.csv", tmp_path / "out", settings=settings).fingerprint.startswith(fingerprint)
