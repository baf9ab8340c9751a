"""A file of states while a stream runs: when it is saved, who has it, what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from easrec_nni import StreamingRecommender, UserError
from easrec_nni.serving import kept_states
from easrec_nni.serving.kept_states import KeptStates
from easrec_nni.serving.state_files import HEADER


def in_file(network: Any, path: Path) -> int:
    stream = StreamingRecommender(network)
    stream.load_state(path)
    return stream.events


class Clock:
    """Stands for time."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(kept_states, "time", clock)
    return clock


def test_states_are_saved_after_so_many_events_or_seconds(make_network: Any, tmp_path: Path, clock: Clock) -> None:
    network, path = make_network(), tmp_path / "states"
    with KeptStates(path, every_events=3, every_seconds=10) as kept:
        stream = StreamingRecommender(network)
        kept.begin(stream)
        found = []
        for _ in range(7):
            stream.update("ann", 1)
            kept.save_if_due()
            found.append(in_file(network, path) if path.exists() else 0)
        assert found == [0, 0, 3, 3, 3, 6, 6]
        assert kept.seconds_left() == 10 and kept.unsaved == 1
        clock.now += 4
        stream.update("bob", 1)
        assert kept.seconds_left() == 6  # the first that is not saved counts
        clock.now += 6
        kept.save_if_due()
        assert in_file(network, path) == 8 and kept.seconds_left() is None
        stream.update("bob", 1)
        kept.end()
        assert in_file(network, path) == 9


def test_a_save_that_fails_is_said_and_tried_again(
    make_network: Any, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, path, said = make_network(), tmp_path / "states", []
    stream, save = StreamingRecommender(network), StreamingRecommender.save

    def fail(*_: object) -> None:
        raise UserError("no space is left")

    with KeptStates(path, 2, 60, said.append) as kept:
        kept.begin(stream)
        monkeypatch.setattr(StreamingRecommender, "save", fail)
        for _ in range(5):
            stream.update("ann", 1)
            kept.save_if_due()
        assert said[1:] == ["no space is left; 2 events not saved yet, next try in 60 s"]
        clock.now += 60
        kept.save_if_due()
        assert said[2:] == ["no space is left; 5 events not saved yet, next try in 60 s"] and not path.exists()
        monkeypatch.setattr(StreamingRecommender, "save", save)
        clock.now += 60
        kept.save_if_due()
        assert in_file(network, path) == 5
        stream.update("ann", 1)
        monkeypatch.setattr(StreamingRecommender, "save", fail)
        with pytest.raises(UserError, match=f"no space is left; 1 event lost, {path} is as it was"):
            kept.end()
    monkeypatch.setattr(StreamingRecommender, "save", save)
    assert in_file(network, path) == 5
    said.clear()
    with KeptStates(path, 2, 60, said.append) as kept:
        kept.begin(StreamingRecommender(network))
    assert "up to 1 event that it took" in said[1]


@pytest.mark.parametrize(
    ("note", "said"),
    [
        (b"", None),
        (b"12 500", "up to 500 events that it took after its last save may be missing"),
        (b"12 ?", "as it should: events that it took after its last save may be missing"),
        (b"?", "as it should: events that it took after its last save may be missing"),
        (b"\0\xff" * 600, "as it should: events that it took after its last save may be missing"),
    ],
)
def test_what_the_process_before_may_have_lost(
    make_network: Any, tmp_path: Path, note: bytes, said: str | None
) -> None:
    (tmp_path / "states.lock").write_bytes(note)
    lines: list[str] = []
    with KeptStates(tmp_path / "states", 10, 60, lines.append) as kept:
        kept.begin(StreamingRecommender(make_network()))
        kept.end()
    assert len(lines) == (1 if said is None else 2) and (said is None or said in lines[1])
    assert (tmp_path / "states.lock").read_bytes() == b""


def test_a_file_is_held_by_one(make_network: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "states"
    with KeptStates(path, 10, 60), pytest.raises(UserError, match="another process"):
        KeptStates(path, 10, 60).__enter__()
    with KeptStates(path, 10, 60) as kept:
        assert kept.settings() == {}
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        KeptStates(tmp_path / "file" / "states", 10, 60).__enter__()
    with pytest.raises(UserError, match="is not a file"):
        KeptStates(tmp_path, 10, 60).__enter__()


def test_the_settings_of_a_file(make_network: Any, tmp_path: Path) -> None:
    path = tmp_path / "states"
    saved = StreamingRecommender(make_network(), beyond="restart", precision="single", keep_seen=True)
    saved.save(path)
    with KeptStates(path, 10, 60) as kept:
        assert kept.settings() == {"beyond": "restart", "precision": "single", "keep_seen": True}
    for damage in ("hello", json.dumps({"format": 1, "beyond": "x", "precision": "double", "keep_seen": "true"})):
        save_file({}, path, metadata={HEADER: damage})
        with KeptStates(path, 10, 60) as kept, pytest.raises(UserError, match="is damaged or holds no states"):
            kept.settings()
    path.write_bytes(b"")
    with KeptStates(path, 10, 60) as kept, pytest.raises(UserError, match="is damaged or holds no states"):
        kept.settings()


def test_files_of_earlier_versions_tell_their_events_by_the_counts(make_network: Any, tmp_path: Path) -> None:
    path, network, said = tmp_path / "states", make_network(), []
    stream = StreamingRecommender(network)
    stream.update(["ann", "bob", "ann"], [1, 2, 3])
    stream.save(path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[HEADER])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(
        tensors, path, metadata={HEADER: json.dumps({k: v for k, v in header.items() if k not in ("events", "saved")})}
    )
    with KeptStates(path, 10, 60, said.append) as kept:
        kept.begin(StreamingRecommender(network))
    assert said == [f"states of 2 users, 3 events: {path}"]
    for wrong in ({"events": -1}, {"events": True}, {"events": "3"}, {"saved": "soon"}, {"saved": [1]}):
        save_file(tensors, path, metadata={HEADER: json.dumps(header | wrong)})
        with pytest.raises(UserError, match="is damaged"):
            StreamingRecommender(network).load_state(path)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(st.characters(codec=None)) | st.integers(), min_size=1, max_size=8, unique_by=str))
def test_ids_of_users_of_any_kind_are_saved_and_found(
    tmp_path_factory: pytest.TempPathFactory, users: list[str | int]
) -> None:
    from search_spaces import EASRecSpace, SpaceConfig

    config = SpaceConfig(n_items=9, max_length=4, hidden=4, inner=4, heads=1, layers=1, positions="none")
    network = EASRecSpace(config).freeze(config.largest)
    path = tmp_path_factory.mktemp("users") / "states"
    stream = StreamingRecommender(network)
    stream.update(users, [1 + place for place in range(len(users))])
    stream.save(path)
    read = StreamingRecommender(network)
    read.load_state(path)
    assert list(read.states.slots) == [str(user) for user in users] and read.events == len(users)
    assert read.recommend(users, 3).scores.tolist() == stream.recommend(users, 3).scores.tolist()
