"""A process that measures when asked: requests go in and answers come out, a line of JSON each.

Only Python's own library is needed here, so that a program of another environment can answer, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from easrec_nni.common.errors import UserError

__all__ = ["Answer", "LineProcess", "answers"]

Answer = dict[str, Any]
KILLED = -9  # by the system, for want of memory, unless a person did it


class LineProcess:
    """A process that says what it is, and then answers each line that it is given with one more.

    Parameters
    ----------
    name
        What it is called in messages.
    words
        Its command.
    environment
        Its environment.

    Attributes
    ----------
    facts
        Its first answer, which says that it is ready.

    Raises
    ------
    UserError
        It ends before that, or says what went wrong.
    """

    def __init__(self, name: str, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                encoding="utf-8",
                env=dict(environment),
            )
        except OSError as error:
            self._errors.close()
            raise UserError(f"{name} cannot be measured: {words[0]} cannot be started ({error.strerror})") from None
        try:
            self.facts = self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, request: str) -> Answer:
        """Answer to a request.

        Raises
        ------
        UserError
            The process has died.
        """
        assert self._process.stdin is not None
        try:
            print(request, file=self._process.stdin, flush=True)
        except OSError:
            pass  # it is gone; its missing answer says so
        return self._answer()

    def close(self) -> None:
        """End the process, at once."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        document: Answer = json.loads(line) if line else {"error": self._last_words()}
        if "error" in document:
            raise UserError(f"{self.name} cannot be measured: {document['error']}")
        return document

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        hint = f" ({lines[-1][:200]})" if lines else ""
        return f"its process ended with code {code}{hint}" + (": is there enough memory?" if code == KILLED else "")


@contextmanager
def answers() -> Iterator[Callable[[Answer], None]]:
    """What writes an answer, in the process that is asked; it has standard output for itself.

    What a library prints goes where errors go.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stream:
        os.dup2(2, 1)

        def answer(document: Answer) -> None:
            print(json.dumps(document), file=stream, flush=True)

        yield answer
