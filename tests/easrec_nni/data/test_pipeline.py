"""Preparation end to end: datasets that are written, reused, replaced and refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, PrepareSettings, load_dataset, prepare


class Recorder:
    """Reporter that records its calls."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[str] = []

    def step(self, message: str) -> None:
        self.steps.append(message)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def understood(self, lines: Mapping[str, str]) -> None:
        pass

    def transferred(self, done: int, total: int | None) -> None:
        pass


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    rows = [f"u{rng.integers(8)},i{rng.integers(20)},{rng.integers(9)},{rng.integers(1, 6)}" for _ in range(150)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["user,item,time,rating", *rows]) + "\n")
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_order_matches_a_stable_plain_sort(log: Path, tmp_path: Path) -> None:
    dataset = prepare(log, tmp_path / "out", settings=PrepareSettings(min_rating=2))
    rows = [line.split(",") for line in log.read_text().splitlines()[1:]]
    seen: set[tuple[str, ...]] = set()
    histories: dict[str, list[tuple[int, str]]] = {}
    low = repeated = 0
    for user, item, time, rating in rows:
        if int(rating) < 2:
            low += 1
        elif (user, item, time) in seen:
            repeated += 1
        else:
            seen.add((user, item, time))
            histories.setdefault(user, []).append((int(time), item))
    assert dataset.user_ids.tolist() == list(histories)
    for row, history in enumerate(histories.values()):
        interactions = slice(dataset.offsets[row], dataset.offsets[row + 1])
        ordered = sorted(history, key=lambda event: event[0])
        assert dataset.item_ids[dataset.items[interactions]].tolist() == [item for _, item in ordered]
        assert dataset.times[interactions].tolist() == [time for time, _ in ordered]
    assert low and repeated
    assert list(dataset.manifest.dropped.values()) == [low, repeated]
    counts = dataset.manifest.counts
    assert counts.interactions == 150 - low - repeated == len(dataset.items)
    assert counts.interactions_per_user == counts.interactions / len(histories)
    assert counts.interactions_per_item == counts.interactions / dataset.n_items


def test_files_of_the_folder(log: Path, tmp_path: Path) -> None:
    dataset = prepare(log, tmp_path / "out")
    names = {"items.npy", "offsets.npy", "times.npy", "manifest.json"}
    names |= {f"{ids}.{part}.npy" for ids in ("user_ids", "item_ids") for part in ("offsets", "text")}
    names |= {f"negatives/{name}_{part}.npy" for name in ("pop100", "uni100") for part in ("valid", "test")}
    assert set(content(tmp_path / "out")) == names
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", "out"}, "no temporary folder is left"
    assert dataset.items.dtype == np.int32 and dataset.offsets.dtype == np.int64
    assert isinstance(dataset.items, np.memmap) and not dataset.items.flags.writeable
    assert dataset.item_ids[0] == "" and dataset.items.min() == 1 and dataset.items.max() == dataset.n_items
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["format_version"] == 2
    assert str(tmp_path) not in json.dumps(manifest), "a manifest can be shared"


def test_same_source_and_settings_give_the_same_bytes(log: Path, tmp_path: Path) -> None:
    first, second = prepare(log, tmp_path / "one"), prepare(log, tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")
    other = prepare(log, tmp_path / "three", settings=PrepareSettings(seed=1))
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert np.array_equal(first.items, other.items)


def test_k_core(log: Path, tmp_path: Path) -> None:
    core = PrepareSettings(min_user_interactions=12, min_item_interactions=6, drop_duplicates=False)
    dataset = prepare(log, tmp_path / "out", settings=core)
    assert np.diff(dataset.offsets).min() >= 12 and np.bincount(dataset.items)[1:].min() >= 6
    dropped = dataset.manifest.dropped
    assert dropped["interactions outside the 12/6 user/item core"] + len(dataset.items) == 150
    assert dropped["items outside the 12/6 user/item core"] + dataset.n_items == 20


def test_reuse(log: Path, tmp_path: Path) -> None:
    prepare(log, tmp_path / "out")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}
    recorder = Recorder()
    prepare(log, tmp_path / "out", reporter=recorder)
    assert any("reusing" in note for note in recorder.notes) and recorder.steps == []
    assert before == {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}


def test_named_dataset_is_reused_without_looking_for_its_source(
    ml100k: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("easrec_nni.data.sources.movielens.MovieLensSource.locate", None)
    assert prepare("ml-100k").fingerprint == ml100k.fingerprint


def test_other_settings_or_source_need_force(log: Path, tmp_path: Path) -> None:
    old = prepare(log, tmp_path / "out")
    with pytest.raises(UserError, match="seed 0 instead of 5.*--force"):
        prepare(log, tmp_path / "out", settings=PrepareSettings(seed=5))
    with pytest.raises(UserError, match="name log instead of other"):
        prepare(log, tmp_path / "out", name="other")
    log.write_text(log.read_text() + "u0,i0,99,5\n")
    with pytest.raises(UserError, match="other source files"):
        prepare(log, tmp_path / "out")
    assert load_dataset(tmp_path / "out", verify=True).fingerprint == old.fingerprint
    new = prepare(log, tmp_path / "out", settings=PrepareSettings(seed=5), force=True)
    assert len(new.items) == len(old.items) + 1
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", "out"}


@pytest.mark.parametrize("force", [False, True])
def test_other_folders_are_never_overwritten(log: Path, tmp_path: Path, force: bool) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_text("cat")
    with pytest.raises(UserError, match="is not a dataset, so it is not overwritten"):
        prepare(log, folder, force=force)
    prepare(log, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not a dataset"):
        prepare(log, tmp_path / "out", force=force)
    with pytest.raises(UserError, match="is not a dataset"):
        prepare(log, log, force=force)
    assert (folder / "cat.jpg").exists() and (tmp_path / "out" / "notes.txt").exists()


def test_an_empty_folder_is_used(log: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert prepare(log, tmp_path / "out").path == tmp_path / "out"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_writing_leaves_the_old_dataset(
    log: Path, tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = prepare(log, tmp_path / "out")
    written = []

    def fail(path: Path, array: np.ndarray, allow_pickle: bool) -> None:
        written.append(path)
        if len(written) == 4:
            raise error
        path.write_bytes(b"half")

    monkeypatch.setattr(np, "save", fail)
    expected = UserError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        prepare(log, tmp_path / "out", settings=PrepareSettings(seed=9), force=True)
    with pytest.raises(expected):
        written.clear()
        prepare(log, tmp_path / "new")
    assert {each.name for each in tmp_path.iterdir()} == {"log.csv", "out"}
    assert load_dataset(tmp_path / "out", verify=True).fingerprint == old.fingerprint


def test_default_folder(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    dataset = prepare(log)
    assert dataset.path == tmp_path / "home" / "datasets" / "log"
    assert load_dataset("log").fingerprint == dataset.fingerprint
    assert prepare(log, name="other").path.name == "other"
