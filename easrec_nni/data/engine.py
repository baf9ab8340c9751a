"""The DuckDB database that reads, filters, numbers and sorts a log, in bounded memory."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pandas as pd
import psutil
import pyarrow as pa

from easrec_nni.common.errors import UserError
from easrec_nni.common.threads import available_threads
from easrec_nni.data.reporting import LogReporter, Reporter

_BATCH_ROWS = 1 << 20
_SHARE_OF_MEMORY = 0.5
_SHARE_OF_ENGINE = 0.7  # NumPy's chunks and Arrow's batches need the rest
_SMALLEST_BYTES = 128 << 20
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_START = 2.0


class Engine:
    """A DuckDB database in a scratch folder that is removed when it is closed.

    Parameters
    ----------
    memory : str or None
        Memory that preparing may take, such as ``4GB``; None is half of what is available.
    spill : Path or None
        Folder for what does not fit into memory; None is the system's folder of temporary files.
    reporter : Reporter or None
        Receives the progress of long queries.

    Attributes
    ----------
    folder : Path
        Scratch folder, removed with all that is in it when the engine is closed.

    Raises
    ------
    UserError
        The memory is not a size, or the folder does not exist.
    """

    def __init__(self, memory: str | None = None, spill: Path | None = None, reporter: Reporter | None = None) -> None:
        limit = memory_bytes(memory)
        self._reporter = reporter or LogReporter()
        try:
            self._scratch = tempfile.TemporaryDirectory(prefix="easrec-", dir=spill)
        except OSError as error:
            raise UserError(f"cannot write to {error.filename}: choose another folder with --spill") from error
        self.folder = Path(self._scratch.name)
        self._connection = duckdb.connect(
            str(self.folder / "log.duckdb"),
            config={
                "memory_limit": f"{max(int(limit * _SHARE_OF_ENGINE), _SMALLEST_BYTES)}B",
                "threads": available_threads(),
                "temp_directory": str(self.folder / "spill"),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_community_extensions": "false",
            },
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("PRAGMA disable_checkpoint_on_shutdown")

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._connection.close()
        self._scratch.cleanup()

    def lock(self) -> None:
        """Disable files, network, extensions and changes of settings for good."""
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def register(self, name: str, table: object) -> None:
        """Register a DataFrame or an Arrow table under a name for queries."""
        self._connection.register(name, table)

    def run(self, query: str, step: str | None = None) -> None:
        """Execute a statement; a long one shows its progress and can be interrupted."""
        self._run_interruptibly(lambda: self._connection.execute(query), step)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        return self._run_interruptibly(lambda: self._connection.execute(query).fetchall(), None)

    def row(self, query: str) -> tuple[Any, ...]:
        """The only row of a result."""
        return self.rows(query)[0]

    def frame(self, query: str) -> pd.DataFrame:
        """A small result as a DataFrame."""
        return self._run_interruptibly(lambda: self._connection.execute(query).df(), None)

    def columns(self, relation: str) -> dict[str, str]:
        """Type of each column of a relation, by name."""
        return {name: str(kind) for name, kind, *_ in self.rows(f"DESCRIBE SELECT * FROM {relation}")}

    def batches(self, query: str, step: str | None = None) -> Iterator[pa.RecordBatch]:
        """A large result in batches, in its order."""
        reader = self._run_interruptibly(lambda: self._connection.sql(query).to_arrow_reader(_BATCH_ROWS), step)
        while True:
            try:
                batch = self._run_interruptibly(reader.read_next_batch, step)
            except StopIteration:
                return
            yield batch

    def _run_interruptibly(self, work: Any, step: str | None) -> Any:
        """Run `work` in a thread, so that this one can show progress and be interrupted."""
        outcome: list[Any] = []
        failure: list[BaseException] = []
        # Events, because a join that is interrupted can take a thread for ended while it runs.
        started, done = threading.Event(), threading.Event()

        def target() -> None:
            started.set()
            try:
                outcome.append(work())
            except BaseException as error:  # raised again below, in the thread that waits
                failure.append(error)
            finally:
                done.set()

        try:
            threading.Thread(target=target, daemon=True).start()
            while not done.wait(_SECONDS_BETWEEN_LOOKS):
                if step is not None:
                    self._show(step)
        except BaseException:
            self._interrupt(started, done)
            raise
        if failure:
            raise failure[0]
        return outcome[0]

    def _interrupt(self, started: threading.Event, done: threading.Event) -> None:
        """Interrupt a query and wait for its end, however often the user presses Ctrl-C."""
        while True:
            try:
                while started.wait(_SECONDS_TO_START) and not done.wait(_SECONDS_BETWEEN_LOOKS):
                    self._connection.interrupt()
                return
            except KeyboardInterrupt:
                continue

    def _show(self, step: str) -> None:
        percent = self._connection.query_progress()
        self._reporter.step(f"{step}: {percent:.0f} %" if percent >= 0 else step)


def memory_bytes(text: str | None) -> int:
    """Bytes of a size such as ``4GB``; None is half of what is available.

    Raises
    ------
    UserError
        If it is not a size.

    Examples
    --------
    >>> memory_bytes("1.5GB")
    1500000000
    """
    if text is None:
        return int(psutil.virtual_memory().available * _SHARE_OF_MEMORY)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?B?)", text.strip().upper())
    unit = match.group(2) if match else ""
    if unit and not unit.endswith("B"):
        unit += "B"
    if match is None or unit not in _UNITS or float(match.group(1)) <= 0:
        raise UserError(f"--memory {text!r} is not a size: pass one such as 4GB or 500MB")
    return int(float(match.group(1)) * _UNITS[unit])


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def listed(texts: Sequence[str]) -> str:
    """Texts as an SQL list."""
    return "[" + ", ".join(map(quoted, texts)) + "]"


def identifier(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
