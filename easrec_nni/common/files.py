"""Atomic file writes, and bounded reads."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError

__all__ = ["atomic_copy", "atomic_write", "read_bounded", "read_json", "write_json", "write_text"]


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file atomically: a temporary file beside `path` replaces it when the block succeeds.

    Parameters
    ----------
    path : Path
        File to write; missing parent folders are created.

    Yields
    ------
    Path
        The temporary file, empty.

    Raises
    ------
    UserError
        `path` cannot be written, or its disk is full; an earlier file stays unchanged.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a file name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise _full(path) if _is_full(error) else UserError(f"cannot write {path}: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner reads
        temporary.replace(path)
    except Exception as error:
        # The causes count too: on a full disk, a writer may only say that its file came out too short.
        if any(_is_full(cause) for cause in _causes(error)):
            raise _full(path) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and its causes, latest first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_full(error: BaseException) -> bool:
    """Whether an exception reports a full disk; safetensors has no errno, only the message's text."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return f"os error {errno.ENOSPC}" in str(error) or os.strerror(errno.ENOSPC) in str(error)


def _full(path: Path) -> UserError:
    return UserError(
        f"no space is left for {path}: make room on that disk and run the same command again; it resumes from the last "
        "complete file"
    )


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def atomic_copy(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is not JSON, or is nested too deeply for Python's parser.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def read_bounded(path: Path, largest: int, beyond: str, remedy: str = "") -> bytes:
    """Read an untrusted file: at most `largest` bytes, whatever size the file claims to have.

    Parameters
    ----------
    path
        The file.
    largest
        Size limit in bytes.
    beyond
        End of the message about a larger file: ``: not a settings file``.
    remedy
        End of the message about an unreadable file.

    Raises
    ------
    UserError
        The file cannot be read, or is larger than the limit.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(largest + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}{remedy}") from None
    if len(content) > largest:
        raise UserError(f"{path} has more than {largest} bytes{beyond}")
    return content
