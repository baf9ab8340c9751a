"""Worker processes that measure on request; requests are lines, answers lines of JSON.

Only the standard library is needed here, so that a program of another environment can be a worker, too.
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

__all__ = ["Answer", "LineProcess", "answer_stream"]

Answer = dict[str, Any]
KILLED = -9  # SIGKILL, usually the kernel's out-of-memory killer


class LineProcess:
    """A worker process that reports its facts, then answers each request line with one line.

    Parameters
    ----------
    name
        Name in messages.
    words
        Command line.
    environment
        Environment variables.

    Attributes
    ----------
    facts
        First answer, sent when the process is ready.

    Raises
    ------
    UserError
        The process ends before it is ready, or answers with an error.
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
        """Send a request and return the answer.

        Raises
        ------
        UserError
            The process has died.
        """
        assert self._process.stdin is not None
        try:
            print(request, file=self._process.stdin, flush=True)
        except OSError:
            pass  # the process has died; its missing answer raises the error
        return self._answer()

    def close(self) -> None:
        """Kill the process."""
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
def answer_stream() -> Iterator[Callable[[Answer], None]]:
    """Function that writes an answer, in the worker process, to standard output.

    What a library prints is redirected to standard error.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stream:
        os.dup2(2, 1)

        def answer(document: Answer) -> None:
            print(json.dumps(document), file=stream, flush=True)

        yield answer
