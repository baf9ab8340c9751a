"""Events on one descriptor answered on another, until they end, a signal comes, or the reader goes."""

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
    from easrec_nni.serving.kept_states import KeptStates

__all__ = ["EventStream"]

AT_ONCE = 4096  # bytes read; lines that were read are answered even after a signal, as no other process can have them
PATIENCE = 2.0  # seconds after a signal for a reader that does not take an answer


class EventStream:
    """Lines of events and the answers to them, one for each.

    Parameters
    ----------
    recommender
        That takes the events.
    kept
        Where its states are saved while it runs.
    stop
        Signals that end it.
    k
        Items to recommend where a line does not say.
    unseen
        Whether to leave out what a user had.

    Attributes
    ----------
    lines, errors
        Lines that were answered, and those of them that were answered with an error.
    reader_left
        Whether the reader of the answers closed them, or did not take one after a signal.
    """

    def __init__(
        self, recommender: StreamingRecommender, kept: KeptStates | None, stop: StopSignals, k: int, unseen: bool
    ) -> None:
        self.recommender, self.kept, self.stop, self.k, self.unseen = recommender, kept, stop, k, unseen
        self.lines = self.errors = 0
        self.reader_left = False

    def run(self, source: int, sink: int) -> None:
        """Answer each line of a descriptor on another.

        Raises
        ------
        UserError
            Events cannot be read, or answers cannot be written.
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
        begun: list[bytes] = []  # pieces of a line whose end has not come
        while True:
            try:
                if not self._wait([source], []):
                    return
                read = os.read(source, AT_ONCE)
            except OSError as error:
                raise UserError(f"events cannot be read: {error.strerror}") from None
            first, *others = read.split(b"\n")
            begun.append(first)
            if others or not read:
                yield b"".join(begun)
                yield from others[:-1]
                begun = others[-1:]
            if not read:
                return

    def _write(self, sink: int, answer: bytes) -> bool:
        """Whether an answer could be written."""
        rest = memoryview(answer)
        try:
            while rest:
                if not self._wait([], [sink]):
                    return False
                # Of a pipe that is ready, this much does not block.
                rest = rest[os.write(sink, rest[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            return False
        except OSError as error:
            raise UserError(f"answers cannot be written: {error.strerror}") from None
        return True

    def _wait(self, reading: list[int], writing: list[int]) -> bool:
        """Wait until a descriptor is ready, saving states when it is time; false where a signal ends the waiting."""
        give_up = None
        while True:
            seconds = None if self.kept is None else self.kept.seconds_left()
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
            if writable or any(each in reading for each in readable):
                return True
            self._save_if_due()

    def _save_if_due(self) -> None:
        if self.kept is not None:
            self.kept.save_if_due()

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
            return {"error": "this is not a JSON object that can be read: nested too deeply, or with too long a number"}

    def _answer(self, event: Any) -> dict[str, Any]:
        known = {"user", "item", "k"}
        if not isinstance(event, dict) or "user" not in event or not event.keys() <= known:
            raise UserError('a line is an object such as {"user": "ann", "item": "50"}, with "k" if it is another')
        user, item, count = event["user"], event.get("item"), event.get("k", self.k)
        for value in (user, item if "item" in event else ""):
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise UserError("user and item are texts or whole numbers")
        if not isinstance(count, int) or isinstance(count, bool):
            raise UserError("k is a whole number")
        best: Recommendations
        if "item" in event:
            best = self.recommender.update_and_recommend([user], [item], count, self.unseen)
        else:
            best = self.recommender.recommend([user], count, self.unseen)
        there = best.scores[0] > -float("inf")
        return {
            "user": user,
            "items": best.items[0][there].tolist(),
            "scores": [round(score, 6) for score in best.scores[0][there].tolist()],
        }
