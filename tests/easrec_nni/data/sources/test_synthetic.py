"""The random log: its counts, shape and seed, and that it is labelled as synthetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, PrepareSettings, prepare
from easrec_nni.data import sources as sources_module
from easrec_nni.data.reporting import LogReporter
from easrec_nni.data.sources import NAMED, choose_source
from easrec_nni.data.sources.synthetic import SYNTHETIC_GOWALLA, SyntheticSource, draw_log

SMALL = SyntheticSource("synthetic-small", "a tenth of a tenth", users=640, items=1645, interactions=20_184)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(sources_module, "NAMED", (*NAMED, SMALL))
    return prepare("synthetic-small", tmp_path / "out", name="synthetic-small")


def test_it_has_the_size_of_table_ii() -> None:
    assert (SYNTHETIC_GOWALLA.users + 1, SYNTHETIC_GOWALLA.items + 1) == (64_116, 164_533)
    assert SYNTHETIC_GOWALLA.interactions == 2_018_421
    assert choose_source("synthetic-gowalla", None) == (SYNTHETIC_GOWALLA, None)


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("sizes", [(640, 1645, 20_184), (3, 2, 31), (1, 7, 35), (7, 1, 35)])
def test_counts_are_exact(sizes: tuple[int, int, int], seed: int) -> None:
    n_users, n_items, interactions = sizes
    users, items, times = draw_log(*sizes, least=5, seed=seed)
    assert len(users) == len(items) == len(times) == interactions
    lengths, counts = np.bincount(users), np.bincount(items)
    assert (len(lengths), len(counts)) == (n_users, n_items)
    assert lengths.min() >= 5 and counts.min() >= 5
    assert (np.diff(users) >= 0).all()
    assert (np.diff(times)[np.diff(users) == 0] > 0).all(), "an order without ties"


@pytest.fixture(scope="module")
def drawn() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    users, items, _ = draw_log(6_400, 16_450, 201_840, least=5, seed=0)
    return users, items


def test_popularity_follows_zipf(drawn: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
    counts = np.sort(np.bincount(drawn[1]))[::-1] - 5.0
    ranks = np.arange(1, len(counts) + 1)
    middle = slice(10, 1000)
    slope = np.polyfit(np.log(ranks[middle] + 50), np.log(counts[middle]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.03)
    assert counts[0] > 30 * np.median(counts + 5)
    assert counts[:165].sum() / 201_840 > 0.1, "a hundredth of the items has a tenth of the interactions"


def test_lengths_have_a_long_tail(drawn: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
    lengths = np.bincount(drawn[0])
    assert lengths.mean() == pytest.approx(31.5, abs=0.1)
    assert np.median(lengths) < 0.7 * lengths.mean() < lengths.mean() < lengths.max() / 10
    assert 0.02 < (lengths > 100).mean() < 0.1, "N = 100 cuts a few"


def test_what_was_seen_last_tells_something_about_what_comes_next(
    drawn: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    users, items = drawn
    same = users[1:] == users[:-1]
    before, after = items[:-1][same], items[1:][same]
    half = len(before) // 2
    followers = set(zip(before[:half].tolist(), after[:half].tolist(), strict=True))
    hits = np.mean([pair in followers for pair in zip(before[half:].tolist(), after[half:].tolist(), strict=True)])
    shuffled = np.random.default_rng(0).permutation(after[half:])
    by_chance = np.mean([pair in followers for pair in zip(before[half:].tolist(), shuffled.tolist(), strict=True)])
    assert hits > 0.2 > 0.05 > by_chance
    assert 0 < (before == after).mean() < 0.2, "some stay where they are"


def test_a_number_does_not_tell_the_place_or_the_popularity(drawn: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
    users, items = drawn
    counts = np.bincount(items)
    assert abs(np.corrcoef(np.arange(len(counts)), counts)[0, 1]) < 0.05
    same = users[1:] == users[:-1]
    assert abs(np.corrcoef(items[:-1][same], items[1:][same])[0, 1]) < 0.2


def test_the_seed_decides() -> None:
    first, again, other = (draw_log(64, 164, 2_018, least=5, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_too_few_interactions_are_refused() -> None:
    with pytest.raises(ValueError, match="49 interactions are too few for 10"):
        draw_log(2, 10, 49, least=5, seed=0)


def test_it_is_prepared_like_any_other(small: Dataset, tmp_path: Path) -> None:
    counts = small.manifest.counts
    assert (counts.users, counts.items, counts.interactions) == (640, 1645, 20_184)
    assert len(small.split.test.users) == 640 and small.split.users_train_only == 0
    assert small.split.train_end.tolist() == (small.offsets[1:] - 2).tolist()
    assert small.items[small.split.test.places].tolist() == small.items[small.offsets[1:] - 1].tolist()
    assert small.manifest.dropped == {} and small.item_features == {}
    assert set(small.manifest.negatives.users_short.values()) == {0}
    assert prepare("synthetic-small", tmp_path / "out").fingerprint == small.fingerprint
    with pytest.raises(UserError, match="seed 0 instead of 3"):
        prepare("synthetic-small", tmp_path / "out", settings=PrepareSettings(seed=3))
    other = prepare("synthetic-small", tmp_path / "three", settings=PrepareSettings(seed=3))
    assert other.items.tolist() != small.items.tolist()
    core = PrepareSettings(min_user_interactions=20, min_item_interactions=10)
    assert prepare("synthetic-small", tmp_path / "core", settings=core).n_users < 640


def test_it_never_says_that_it_is_the_real_one(small: Dataset) -> None:
    manifest = json.loads((small.path / "manifest.json").read_text())
    assert manifest["source"] == {"name": "synthetic-small", "local": False, "files": []}
    assert manifest["name"] == "synthetic-small"
    assert SYNTHETIC_GOWALLA.name.startswith("synthetic-") and SYNTHETIC_GOWALLA.summary.startswith("random log")
    notes = SMALL.read((), PrepareSettings(), LogReporter()).notes
    assert notes == ("this log is synthetic: drawn by chance, for measurements of time and memory",)
    everyone = {*small.user_ids.tolist(), *small.item_ids[1:].tolist()}
    assert all(name.rstrip("0123456789") in ("user", "item") for name in everyone)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "somewhere"}, "synthetic-gowalla is drawn by chance and not read from files: leave out --path"),
        ({"settings": PrepareSettings(min_rating=3)}, "synthetic-gowalla has no ratings: leave out --min-rating"),
    ],
)
def test_what_it_does_not_have(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        prepare("synthetic-gowalla", tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
