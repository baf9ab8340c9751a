"""Autosaved states: when they are saved, their lock, their messages."""

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
from easrec_nni.serving import autosave
from easrec_nni.serving.autosave import AutosavedStates
from easrec_nni.serving.state_files import HEADER


def saved_events(network: Any, path: Path) -> int:
    stream = StreamingRecommender(network)
    stream.load_state(path)
    return stream.events


class Clock:
    """Replacement for the ``time`` module."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(autosave, "time", clock)
    return clock


def test_states_are_saved_after_so_many_events_or_seconds(make_network: Any, tmp_path: Path, clock: Clock) -> None:
    network, path = make_network(), tmp_path / "states"
    with AutosavedStates(path, every_events=3, every_seconds=10) as states:
        stream = StreamingRecommender(network)
        states.begin(stream)
        saved = []
        for _ in range(7):
            stream.update("ann", 1)
            states.save_if_due()
            saved.append(saved_events(network, path) if path.exists() else 0)
        assert saved == [0, 0, 3, 3, 3, 6, 6]
        assert states.seconds_left() == 10 and states.unsaved == 1
        clock.now += 4
        stream.update("bob", 1)
        assert states.seconds_left() == 6  # counted from the first unsaved event
        clock.now += 6
        states.save_if_due()
        assert saved_events(network, path) == 8 and states.seconds_left() is None
        stream.update("bob", 1)
        states.end()
        assert saved_events(network, path) == 9


def test_a_failed_save_is_reported_and_retried(
    make_network: Any, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, path, messages = make_network(), tmp_path / "states", []
    stream, save = StreamingRecommender(network), StreamingRecommender.save

    def fail(*_: object) -> None:
        raise UserError("no space is left")

    with AutosavedStates(path, 2, 60, messages.append) as states:
        states.begin(stream)
        monkeypatch.setattr(StreamingRecommender, "save", fail)
        for _ in range(5):
            stream.update("ann", 1)
            states.save_if_due()
        assert messages[1:] == ["no space is left; 2 events not saved yet, retrying in 60 s"]
        clock.now += 60
        states.save_if_due()
        assert messages[2:] == ["no space is left; 5 events not saved yet, retrying in 60 s"] and not path.exists()
        monkeypatch.setattr(StreamingRecommender, "save", save)
        clock.now += 60
        states.save_if_due()
        assert saved_events(network, path) == 5
        stream.update("ann", 1)
        monkeypatch.setattr(StreamingRecommender, "save", fail)
        with pytest.raises(UserError, match=f"no space is left; 1 event lost, {path} is unchanged"):
            states.end()
    monkeypatch.setattr(StreamingRecommender, "save", save)
    assert saved_events(network, path) == 5
    messages.clear()
    with AutosavedStates(path, 2, 60, messages.append) as states:
        states.begin(StreamingRecommender(network))
    assert "up to 1 event after its last save" in messages[1]


@pytest.mark.parametrize(
    ("note", "messages"),
    [
        (b"", None),
        (b"12 500", "up to 500 events after its last save may be missing"),
        (b"12 ?", "did not end cleanly: events after its last save may be missing"),
        (b"?", "did not end cleanly: events after its last save may be missing"),
        (b"\0\xff" * 600, "did not end cleanly: events after its last save may be missing"),
    ],
)
def test_possible_losses_of_the_last_process_are_reported(
    make_network: Any, tmp_path: Path, note: bytes, messages: str | None
) -> None:
    (tmp_path / "states.lock").write_bytes(note)
    lines: list[str] = []
    with AutosavedStates(tmp_path / "states", 10, 60, lines.append) as states:
        states.begin(StreamingRecommender(make_network()))
        states.end()
    assert len(lines) == (1 if messages is None else 2) and (messages is None or messages in lines[1])
    assert (tmp_path / "states.lock").read_bytes() == b""


def test_a_file_is_locked_by_one_process(make_network: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "states"
    with AutosavedStates(path, 10, 60), pytest.raises(UserError, match="another process"):
        AutosavedStates(path, 10, 60).__enter__()
    with AutosavedStates(path, 10, 60) as states:
        assert states.settings() == {}
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        AutosavedStates(tmp_path / "file" / "states", 10, 60).__enter__()
    with pytest.raises(UserError, match="is not a file"):
        AutosavedStates(tmp_path, 10, 60).__enter__()


def test_the_settings_of_a_file(make_network: Any, tmp_path: Path) -> None:
    path = tmp_path / "states"
    saved = StreamingRecommender(make_network(), beyond="restart", precision="single", keep_seen=True)
    saved.save(path)
    with AutosavedStates(path, 10, 60) as states:
        assert states.settings() == {"beyond": "restart", "precision": "single", "keep_seen": True}
    for damage in ("hello", json.dumps({"format": 1, "beyond": "x", "precision": "double", "keep_seen": "true"})):
        save_file({}, path, metadata={HEADER: damage})
        with (
            AutosavedStates(path, 10, 60) as states,
            pytest.raises(UserError, match="is damaged or is not a file of states"),
        ):
            states.settings()
    path.write_bytes(b"")
    with (
        AutosavedStates(path, 10, 60) as states,
        pytest.raises(UserError, match="is damaged or is not a file of states"),
    ):
        states.settings()


def test_files_of_earlier_versions_tell_their_events_by_the_counts(make_network: Any, tmp_path: Path) -> None:
    path, network, messages = tmp_path / "states", make_network(), []
    stream = StreamingRecommender(network)
    stream.update(["ann", "bob", "ann"], [1, 2, 3])
    stream.save(path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[HEADER])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(
        tensors, path, metadata={HEADER: json.dumps({k: v for k, v in header.items() if k not in ("events", "saved")})}
    )
    with AutosavedStates(path, 10, 60, messages.append) as states:
        states.begin(StreamingRecommender(network))
    assert messages == [f"states of 2 users, 3 events: {path}"]
    for invalid in ({"events": -1}, {"events": True}, {"events": "3"}, {"saved": "soon"}, {"saved": [1]}):
        save_file(tensors, path, metadata={HEADER: json.dumps(header | invalid)})
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
    loaded = StreamingRecommender(network)
    loaded.load_state(path)
    assert list(loaded.states.slots) == [str(user) for user in users] and loaded.events == len(users)
    assert loaded.recommend(users, 3).scores.tolist() == stream.recommend(users, 3).scores.tolist()
