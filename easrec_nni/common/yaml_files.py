"""Reading YAML that somebody else wrote: as data, within bounds, with one line for whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_bounded

__all__ = ["LARGEST_FILE_BYTES", "MOST_ENTRIES", "read_yaml"]

LARGEST_FILE_BYTES = 1 << 20
MOST_ENTRIES = 100_000
LONGEST_QUOTE = 300  # characters of a message that quotes what it refuses


def read_yaml(path: str | Path, what: str, advice: str, example: str) -> dict[str, Any]:
    """Keys and values of a YAML file.

    Nothing of the file is executed: tags that would make Python objects are refused. Aliases are counted as what they
    stand for, since a file of a kilobyte can stand for gigabytes as soon as somebody copies or quotes it.

    Parameters
    ----------
    path
        The file.
    what
        What it should be, for messages: ``settings file``.
    advice
        What to do where there is no such file.
    example
        A line that such a file could hold.

    Raises
    ------
    UserError
        One line for a missing or huge file, broken YAML, too many entries, or something else than keys and values.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "mine.yml"
    >>> _ = file.write_text("data: ml-100k")
    >>> read_yaml(file, "settings file", "write one", "data: ml-100k")
    {'data': 'ml-100k'}
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"there is no {what} {file}; {advice}")
    content = read_bounded(file, LARGEST_FILE_BYTES, f": not a {what}")
    try:
        document = yaml.safe_load(content.decode("utf-8-sig"))
    # The loader lets through what its own conversions raise: `!!int ""` is an IndexError, `!!bool maybe` a KeyError,
    # `!!timestamp x` an AttributeError, a date of month 13 or a number of 5,000 digits a ValueError.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:LONGEST_QUOTE] or type(error).__name__
        raise UserError(f"{file} is not valid YAML: {reason}") from None
    if not isinstance(document, dict):
        raise UserError(f"{file} must hold keys and values, such as `{example}`")
    if _entries(document, {}) > MOST_ENTRIES:
        raise UserError(f"{file} stands for more than {MOST_ENTRIES} entries, or refers to itself: not a {what}")
    return {str(key): value for key, value in document.items()}


def _entries(node: Any, known: dict[int, int]) -> int:
    """Entries that a document has once its aliases are written out; a part that holds itself has too many."""
    if not isinstance(node, dict | list | tuple | set):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_ENTRIES + 1  # until it is counted: only a part that holds itself is met meanwhile
        parts = [*node.keys(), *node.values()] if isinstance(node, dict) else node
        known[id(node)] = 1 + sum(_entries(part, known) for part in parts)
    return known[id(node)]
