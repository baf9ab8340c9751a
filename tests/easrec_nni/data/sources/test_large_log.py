"""Large synthetic logs: sizes, popularity, seed, and independence of the blocks."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from easrec_nni.data import PrepareSettings, prepare
from easrec_nni.data.sources import large_log as large_log_module
from easrec_nni.data.sources.large_log import LargeLog, zipf_ranks


def drawn(log: LargeLog) -> pa.Table:
    return pa.Table.from_batches(log.blocks())


def test_ranks_have_the_probabilities_of_the_law() -> None:
    count, shift, n = 1000, 50, 1_000_000
    ranks = zipf_ranks(np.random.default_rng(3).random(n), count, shift)
    places = np.arange(count)
    expected = n * np.log((places + 1 + shift) / (places + shift)) / np.log((count + shift) / shift)
    counts = np.bincount(ranks, minlength=count)
    # Chi-squared with 999 degrees of freedom has the mean 999 and the standard deviation 45.
    assert len(counts) == count and abs(((counts - expected) ** 2 / expected).sum() - 999) < 5 * 45
    law = 1 / (places + shift + 0.5)
    assert np.allclose(expected / n, law / law.sum(), rtol=1e-3), "which is the Zipf-Mandelbrot law"


def test_zero_and_the_last_number_below_one_are_the_first_and_the_last_rank() -> None:
    assert zipf_ranks(np.array([0.0, np.nextafter(1, 0)]), 10, 0.5).tolist() == [0, 9]


@pytest.mark.parametrize("sizes", [(50_000, 5_000, 500), (1_000, 1_000, 1_000), (999, 7, 1), (12, 12, 5)])
def test_every_user_and_every_item_occurs(sizes: tuple[int, int, int]) -> None:
    table = drawn(LargeLog(*sizes))
    interactions, users, items = sizes
    assert table.num_rows == interactions
    assert np.array_equal(np.unique(table["user_id"]), np.arange(users))
    assert np.array_equal(np.unique(table["item_id"]), np.arange(items))


def test_popularity_is_long_tailed_and_ids_do_not_tell_it() -> None:
    counts = np.bincount(drawn(LargeLog(200_000, 20_000, 2_000))["item_id"])
    by_rank = np.sort(counts)[::-1]
    # Items 1 and 1,000 of the law are as 1050 to 51, a little less with the interactions that are each item's own.
    assert 14 < by_rank[:5].mean() / by_rank[990:1010].mean() < 21
    assert abs(np.corrcoef(np.arange(2_000), counts)[0, 1]) < 0.1


def test_times_run_forward_but_for_what_comes_late() -> None:
    times = drawn(LargeLog(100_000, 10_000, 1_000))["timestamp"].to_numpy()
    assert (np.diff(times) < 0).any(), "some come late"
    assert (np.maximum.accumulate(times) - times).max() < 3600
    assert 1_577_836_800 <= times.min() and times.max() < 1_577_836_800 + 2 * 365 * 86_400 + 3600


def test_the_seed_decides_everything() -> None:
    assert drawn(LargeLog(5_000, 500, 50, seed=4)).equals(drawn(LargeLog(5_000, 500, 50, seed=4)))
    assert not drawn(LargeLog(5_000, 500, 50, seed=4)).equals(drawn(LargeLog(5_000, 500, 50, seed=5)))


def test_pieces_make_up_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has the blocks in order, and each block can be drawn without those before it."""
    monkeypatch.setattr(large_log_module, "_BLOCK_ROWS", 300)
    log = LargeLog(1_000, 100, 10, seed=2)
    blocks = list(log.blocks())
    assert [block.num_rows for block in blocks] == [300, 300, 300, 100]
    log.write(tmp_path / "log.parquet")
    rows = duckdb.sql(f"SELECT user_id, item_id, timestamp FROM '{tmp_path / 'log.parquet'}'").fetchall()
    assert rows == [tuple(row.values()) for row in pa.Table.from_batches(blocks).to_pylist()]
    first, second = (np.asarray(block["user_id"]) for block in blocks[:2])
    assert not np.array_equal(first, second), "blocks do not repeat"


def test_it_can_be_prepared(tmp_path: Path) -> None:
    LargeLog(2_000, 200, 20).write(tmp_path / "log.parquet")
    dataset = prepare(tmp_path / "log.parquet", tmp_path / "out", settings=PrepareSettings(drop_duplicates=False))
    assert (dataset.n_users, dataset.n_items, len(dataset.items)) == (200, 20, 2_000)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["dropped"] == {}
