"""Event loop of ``easrec recommend --stream``: one answer per input line."""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.signals import StopSignals

if TYPE_CHECKING:
    from easrec_nni.serving import Recommendations, StreamingRecommender
    from easrec_nni.serving.autosave import AutosavedStates

__all__ = ["EventStream"]

READ_SIZE = 4096  # bytes; lines already read are answered even after a signal, as no other process can read them
PATIENCE = 2.0  # seconds that a blocked reader gets to take an answer after a signal


class EventStream:
    """Answers the lines of one file descriptor on another.

    Parameters
    ----------
    recommender
        Recommender that processes the events.
    state_file
        File to save the states to while the stream runs; None: they are not saved.
    stop
        Signals that end the stream.
    k
        Number of items to recommend unless a line has its own.
    unseen
        Whether to leave out items that the user already had.

    Attributes
    ----------
    lines, errors
        Number of lines answered, and how many of them with an error.
    reader_left
        Whether the reader of the answers closed the pipe, or blocked for too long after a signal.
    """

    def __init__(
        self,
        recommender: StreamingRecommender,
        state_file: AutosavedStates | None,
        stop: StopSignals,
        k: int,
        unseen: bool,
    ) -> None:
        self.recommender, self.state_file, self.stop, self.k, self.unseen = recommender, state_file, stop, k, unseen
        self.lines = self.errors = 0
        self.reader_left = False

    def run(self, source: int, sink: int) -> None:
        """Answer each line of ``source`` on ``sink`` until the input ends or a signal arrives.

        Raises
        ------
        UserError
            Reading the events or writing the answers failed.
        """
        for line in self._read(source):
            if not line.strip():
                continue
            answer = self._answer_line(line)
            self.lines += 1
            self.errors += "error" in answer
            if not self._write(sink, json.dumps(answer).encode() + b"\n"):
                self.reader_left = True
                return
            self._save_if_due()

    def _read(self, source: int) -> Iterator[bytes]:
        partial: list[bytes] = []  # pieces of a line that is not complete yet
        while True:
            try:
                if not self._wait([source], []):
                    return
                read = os.read(source, READ_SIZE)
            except OSError as error:
                raise UserError(f"events cannot be read: {error.strerror}") from None
            first, *others = read.split(b"\n")
            partial.append(first)
            if others or not read:
                yield b"".join(partial)
                yield from others[:-1]
                partial = others[-1:]
            if not read:
                return

    def _write(self, sink: int, answer: bytes) -> bool:
        """Write an answer; false if the reader is gone or blocked."""
        rest = memoryview(answer)
        try:
            while rest:
                if not self._wait([], [sink]):
                    return False
                # A pipe that is ready takes PIPE_BUF bytes without blocking.
                rest = rest[os.write(sink, rest[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            return False
        except OSError as error:
            raise UserError(f"answers cannot be written: {error.strerror}") from None
        return True

    def _wait(self, reading: list[int], writing: list[int]) -> bool:
        """Wait until a descriptor is ready, saving states when due; false after a signal."""
        give_up = None
        while True:
            seconds = None if self.state_file is None else self.state_file.seconds_left()
            if self.stop.number is not None:
                if reading:
                    return False
                give_up = give_up or time.monotonic() + PATIENCE
                seconds = give_up - time.monotonic()
                if seconds <= 0:
                    return False
            readable, writable, _ = select.select([*reading, self.stop.descriptor], writing, [], seconds)
            if self.stop.descriptor in readable:
                self.stop.drain()
            if writable or any(descriptor in reading for descriptor in readable):
                return True
            self._save_if_due()

    def _save_if_due(self) -> None:
        if self.state_file is not None:
            self.state_file.save_if_due()

    def _answer_line(self, line: bytes) -> dict[str, Any]:
        try:
            return self._answer(json.loads(line.decode("utf-8-sig")))
        except UserError as error:
            return {"error": error.message}
        except json.JSONDecodeError as error:
            return {"error": f"this is not a JSON object: {error}"}
        except UnicodeDecodeError:
            return {"error": "this is not UTF-8 text"}
        except (ValueError, RecursionError):
            return {"error": "this is not a JSON object that can be parsed: nested too deeply, or a number is too long"}

    def _answer(self, event: Any) -> dict[str, Any]:
        expected = 'expected an object such as {"user": "ann", "item": "50"}, with an optional "k"'
        if not isinstance(event, dict) or "user" not in event:
            raise UserError(expected)
        if unknown := [name for name in event if name not in ("user", "item", "k")]:
            raise UserError(f"{expected}; leave out {', '.join(map(repr, unknown[:5]))}")
        user, item, count = event["user"], event.get("item"), event.get("k", self.k)
        for value in (user, item if "item" in event else ""):
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise UserError("user and item must be strings or integers")
        if not isinstance(count, int) or isinstance(count, bool):
            raise UserError("k must be an integer")
        best: Recommendations
        if "item" in event:
            best = self.recommender.update_and_recommend([user], [item], count, self.unseen)
        else:
            best = self.recommender.recommend([user], count, self.unseen)
        finite = best.scores[0] > -float("inf")
        return {
            "user": user,
            "items": best.items[0][finite].tolist(),
            "scores": [round(score, 6) for score in best.scores[0][finite].tolist()],
        }
