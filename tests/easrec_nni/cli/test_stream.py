"""Event loop of a stream: partial lines, full sinks, signals."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easrec_nni import EASRecSpace, SpaceConfig, StreamingRecommender, UserError
from easrec_nni.cli import stream
from easrec_nni.cli.stream import EventStream
from easrec_nni.common.signals import StopSignals


@pytest.fixture(scope="module")
def recommender() -> StreamingRecommender:
    config = SpaceConfig(n_items=9, max_length=4, hidden=4, inner=4, heads=1, layers=1, positions="none")
    return StreamingRecommender(EASRecSpace(config).freeze(config.largest))


@pytest.fixture
def stop() -> Iterator[StopSignals]:
    with StopSignals() as stop:
        yield stop


@given(st.lists(st.binary()), st.integers(1, 9))
def test_lines_are_those_of_the_text_in_whatever_pieces_they_come(lines: list[bytes], read_size: int) -> None:
    text = b"\n".join(lines)
    source, feed = os.pipe()
    os.write(feed, text)
    os.close(feed)
    with StopSignals() as stop, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "READ_SIZE", read_size)
        events: Any = EventStream(None, None, stop, 10, False)  # type: ignore[arg-type]
        assert list(events._read(source)) == text.split(b"\n")
    os.close(source)


def test_an_answer_larger_than_a_pipe_arrives_whole(stop: StopSignals) -> None:
    events: Any = EventStream(None, None, stop, 10, False)  # type: ignore[arg-type]
    source, sink = os.pipe()
    answer, received = os.urandom(300_001), bytearray()
    with os.fdopen(source, "rb") as file:
        reader = threading.Thread(target=lambda: received.extend(file.read()))
        reader.start()
        assert events._write(sink, answer)
        os.close(sink)
        reader.join()
    assert bytes(received) == answer


def test_lines_that_were_read_are_answered_after_a_signal_and_no_others(
    recommender: StreamingRecommender, stop: StopSignals, tmp_path: Path
) -> None:
    source, feed = os.pipe()
    os.write(feed, b'{"user": "a", "item": 1}\n{"user": "b", "item": 2}\n{"user": "c"')
    events = EventStream(recommender, None, stop, 2, False)
    with (tmp_path / "answers").open("wb") as sink:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        events.run(source, sink.fileno())  # ends although the input does not
    answers = [json.loads(line) for line in (tmp_path / "answers").read_text().splitlines()]
    assert [answer["user"] for answer in answers] == ["a", "b"]
    assert stop.number == signal.SIGTERM and not events.reader_left
    os.close(feed)
    os.close(source)


def test_a_signal_does_not_wait_for_a_reader_that_takes_nothing(
    recommender: StreamingRecommender, stop: StopSignals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PATIENCE", 0.2)
    source, feed = os.pipe()
    os.write(feed, b'{"user": "a", "item": 1}\n')
    answers, sink = os.pipe()
    os.set_blocking(sink, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(sink, bytes(4096))
    os.set_blocking(sink, True)
    events = EventStream(recommender, None, stop, 2, False)
    begin = time.monotonic()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    events.run(source, sink)
    assert events.reader_left and 0.5 <= time.monotonic() - begin < 20
    assert os.read(answers, 1 << 20)  # there is room again, for less than the next answer
    writing = threading.Thread(target=events._write, args=(sink, bytes(300_000)), daemon=True)
    writing.start()
    writing.join(20)
    assert not writing.is_alive()
    for descriptor in (source, feed, answers, sink):
        os.close(descriptor)


def test_descriptors_that_cannot_be_used_are_told(recommender: StreamingRecommender, stop: StopSignals) -> None:
    folder = os.open("/", os.O_RDONLY)
    source, feed = os.pipe()
    os.write(feed, b'{"user": "a", "item": 1}\n')
    full = os.open("/dev/full", os.O_WRONLY)
    events = EventStream(recommender, None, stop, 2, False)
    with pytest.raises(UserError, match="events cannot be read: Is a directory"):
        events.run(folder, full)
    with pytest.raises(UserError, match="answers cannot be written: No space left"):
        events.run(source, full)
    for descriptor in (folder, source, feed, full):
        os.close(descriptor)


def test_signals_are_noted_ignored_ones_stay_so_and_all_is_as_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.number is None and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.number == signal.SIGINT
            assert set(os.read(stop.descriptor, 9)) == {signal.SIGINT, signal.SIGTERM}
    finally:
        signal.signal(signal.SIGHUP, hangup)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
