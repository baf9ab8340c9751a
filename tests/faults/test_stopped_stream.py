"""Streams with a file of states that end before their input does, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from easrec_nni import Architecture, Choice, SpaceConfig, StreamingRecommender
from easrec_nni.architecture.weights import load_network, save_weights

pytestmark = pytest.mark.slow
EVENTS = [(f"u{number % 3}", 1 + (7 * number) % 30) for number in range(10)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a retraining leaves it, with weights that nobody trained."""
    folder = tmp_path_factory.mktemp("retrained")
    torch.manual_seed(0)
    space = SpaceConfig(n_items=30, max_length=16, hidden=8, inner=16, heads=2, layers=2, positions="none")
    architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2), space=space)
    architecture.write(folder / "architecture.json")
    save_weights(load_network(architecture).state_dict(), folder / "weights.safetensors")
    return folder


class Stream:
    """A process that answers events."""

    def __init__(self, run: Path, state: Path, *words: object, answers: Any = subprocess.PIPE) -> None:
        command = [sys.executable, "-m", "easrec_nni.cli.main", "recommend", run, "--stream", "--numbers", "--k", 3]
        self.process = subprocess.Popen(
            list(map(str, [*command, "--state", state, *words])),
            stdin=subprocess.PIPE,
            stdout=answers,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin and self.process.stderr
        self.stdin, self.stderr = self.process.stdin, self.process.stderr

    def give(self, *events: tuple[str, int]) -> None:
        for user, item in events:
            self.stdin.write(json.dumps({"user": user, "item": item}) + "\n")
        self.stdin.flush()

    def take(self, *events: tuple[str, int]) -> list[dict[str, Any]]:
        """Give events and wait for their answers."""
        assert self.process.stdout
        answers = []
        for event in events:
            self.give(event)
            answers.append(json.loads(self.process.stdout.readline()))
        return answers

    def ended(self) -> tuple[int, list[str]]:
        """Exit code and what was said, of a process that ends although its input goes on."""
        code = self.process.wait(timeout=120)
        return code, self.stderr.read().splitlines()


@pytest.fixture
def start(run: Path) -> Iterator[Callable[..., Stream]]:
    streams: list[Stream] = []

    def start(state: Path, *words: object, **options: Any) -> Stream:
        streams.append(Stream(run, state, *words, **options))
        return streams[-1]

    yield start
    for each in streams:
        each.process.kill()
        each.process.wait()
        for file in (each.process.stdin, each.process.stdout, each.process.stderr):
            if file is not None:
                try:
                    file.close()
                except BrokenPipeError:
                    continue


def assert_states(run: Path, state: Path, events: list[tuple[str, int]]) -> None:
    """A file's states against the network on the users' whole histories."""
    stream = StreamingRecommender.load(run, numbers=True)
    stream.load_state(state)
    histories: dict[str, list[int]] = {}
    for user, item in events:
        histories.setdefault(user, []).append(item)
    assert (set(stream.states.slots), stream.events) == (set(histories), len(events))
    for user, history in histories.items():
        with torch.inference_mode():
            scores, items = stream.network(torch.tensor([history])).topk(5)
        best = stream.recommend(user, 5)
        assert best.items.tolist() == items.tolist()
        torch.testing.assert_close(torch.from_numpy(best.scores), scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 0), ("SIGHUP", 0), ("SIGINT", 130)])
def test_a_signal_ends_it_with_all_that_it_took(
    run: Path, start: Callable[..., Stream], tmp_path: Path, number: str, code: int
) -> None:
    state = tmp_path / "states"
    stream = start(state)
    answers = stream.take(*EVENTS)
    assert [answer["user"] for answer in answers] == [user for user, _ in EVENTS]
    stream.stdin.write('{"user": "u0"')  # a line whose end does not come
    stream.stdin.flush()
    stream.process.send_signal(signal.Signals[number])
    ended, said = stream.ended()
    assert ended == code
    assert said[:2] == [
        f"easrec: no states yet: {state} will be created",
        f"easrec: {number}: answered 10 lines, 0 of them with an error; states of 3 users, 10 events are in {state}",
    ]
    assert_states(run, state, EVENTS)
    assert (tmp_path / "states.lock").read_bytes() == b""
    assert sorted(file.name for file in tmp_path.iterdir()) == ["states", "states.lock"]


def test_a_signal_while_nobody_takes_the_answers(run: Path, start: Callable[..., Stream], tmp_path: Path) -> None:
    state = tmp_path / "states"
    reading, writing = os.pipe()
    stream = start(state, "--save-events", 1, answers=writing)
    os.close(writing)
    feeder = threading.Thread(target=feed, args=(stream,), daemon=True)
    feeder.start()
    before = -1
    while (now := state.stat().st_mtime_ns if state.exists() else -1) != before or now < 0:  # until it stands still
        before = now
        time.sleep(1)
    stream.process.send_signal(signal.SIGTERM)
    code, said = stream.ended()
    assert code == 0 and "SIGTERM: answered" in said[-1]
    taken = StreamingRecommender.load(run, numbers=True)
    taken.load_state(state)
    with os.fdopen(reading, "rb") as answers:
        whole = answers.read().count(b"\n")
    assert whole > 100 and taken.events == whole + 1  # the last answer was not taken, its event was
    feeder.join(timeout=60)


def feed(stream: Stream) -> None:
    try:
        while True:
            stream.give(("u", 1))
    except (BrokenPipeError, ValueError):
        return


def test_a_reader_that_leaves(run: Path, start: Callable[..., Stream], tmp_path: Path) -> None:
    state = tmp_path / "states"
    stream = start(state)
    stream.take(*EVENTS[:2])
    assert stream.process.stdout
    stream.process.stdout.close()  # as `| head -2` does
    stream.give(EVENTS[2])
    code, said = stream.ended()
    assert code == 141
    assert said[-1].startswith("easrec: the reader of the answers left: answered 3 lines") and len(said) == 2
    assert_states(run, state, EVENTS[:3])


def test_sigkill_loses_what_came_after_the_last_save_and_the_next_start_says_so(
    run: Path, start: Callable[..., Stream], tmp_path: Path
) -> None:
    state = tmp_path / "states"
    stream = start(state, "--save-events", 4)
    stream.take(*EVENTS)
    stream.process.kill()
    assert stream.ended()[0] == -signal.SIGKILL
    assert_states(run, state, EVENTS[:8])
    stream = start(state, "--save-events", 4)
    stream.take(*EVENTS[8:])
    stream.stdin.close()
    code, said = stream.ended()
    assert code == 0
    assert said[0].startswith("easrec: states of 3 users, 8 events, saved at 20")
    assert said[1] == (
        "easrec: the last process with these states did not end cleanly: up to 4 events after its last save may be "
        "missing"
    )
    assert_states(run, state, EVENTS)
    stream = start(state)
    stream.stdin.close()
    code, said = stream.ended()
    assert code == 0 and len(said) == 2 and said[0].startswith("easrec: states of 3 users, 10 events, saved at 20")


def test_states_are_saved_while_no_event_comes(run: Path, start: Callable[..., Stream], tmp_path: Path) -> None:
    state = tmp_path / "states"
    stream = start(state, "--save-seconds", 1)
    begin = time.monotonic()
    stream.take(EVENTS[0])
    while not state.exists():
        assert time.monotonic() < begin + 120
        time.sleep(0.05)
    stream.process.kill()
    assert_states(run, state, EVENTS[:1])


def test_one_process_at_a_time_has_a_file_of_states(run: Path, start: Callable[..., Stream], tmp_path: Path) -> None:
    state, link = tmp_path / "states", tmp_path / "link"
    link.symlink_to(state)
    first = start(state)
    first.take(*EVENTS[:2])
    for other in (state, link):
        second = start(other)
        code, said = second.ended()
        assert code == 2
        assert said == [
            f"easrec: error: another process ({first.process.pid}) is using the states {state}: end it first, or give "
            "another file"
        ]
    first.process.kill()
    first.ended()
    third = start(link)  # no lock outlives its process
    third.take(EVENTS[2])
    third.stdin.close()
    code, said = third.ended()
    assert code == 0 and "up to 10,000 events" in said[1]
    assert link.is_symlink()
    assert_states(run, state, EVENTS[2:3])
