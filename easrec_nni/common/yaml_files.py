"""Safe YAML loading: bounded size, no object construction, one-line errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_bounded

__all__ = ["LARGEST_FILE_BYTES", "MOST_ENTRIES", "read_yaml", "safe_value"]

LARGEST_FILE_BYTES = 1 << 20
MOST_ENTRIES = 100_000
LONGEST_QUOTE = 300  # characters of an error message shown


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses a key that a mapping has twice, of which YAML's parsers silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is there twice: keep one of them", key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Refuse numbers that YAML 1.1 reads in base 8 or 60, which a user hardly means."""
        number, text = super().construct_yaml_int(node), str(node.value)
        if ":" in text or re.match(r"[+-]?0[0-9_]", text):
            raise yaml.constructor.ConstructorError(
                None, None, f"{text} is the number {number} in YAML: write it so, or in quotes", node.start_mark
            )
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def safe_value(text: str) -> Any:
    """Parse one YAML value, as in a file.

    Raises
    ------
    UserError
        It is not valid YAML.
    """
    return _load(text, repr(text[:LONGEST_QUOTE]))


def read_yaml(path: str | Path, what: str, advice: str, example: str) -> dict[str, Any]:
    """Read an untrusted YAML file of keys and values.

    Nothing in the file is executed: tags that would construct Python objects are refused. Aliases count with their full
    expansion, since a file of a kilobyte can stand for gigabytes once it is copied or quoted.

    Parameters
    ----------
    path
        The file.
    what
        Kind of the file, for messages: ``settings file``.
    advice
        Advice for a missing file.
    example
        A line that such a file could hold.

    Raises
    ------
    UserError
        The file is missing, too large, not valid YAML, has a key twice or too many entries, or is not a mapping.

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
    document = _load(content, str(file))
    if not isinstance(document, dict):
        raise UserError(f"{file} must hold keys and values, such as `{example}`")
    if _entries(document, {}) > MOST_ENTRIES:
        raise UserError(f"{file} stands for more than {MOST_ENTRIES} entries, or refers to itself: not a {what}")
    return {str(key): value for key, value in document.items()}


def _load(content: str | bytes, shown: str) -> Any:
    """Parse a YAML text; messages call it ``shown``."""
    try:
        return _Loader(content if isinstance(content, str) else content.decode("utf-8-sig")).get_single_data()
    # The loader's conversions raise errors of their own: `!!int ""` an IndexError, `!!bool maybe` a KeyError,
    # `!!timestamp x` an AttributeError, a date of month 13 or a number of 5,000 digits a ValueError.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:LONGEST_QUOTE] or type(error).__name__
        raise UserError(f"{shown} is not valid YAML: {reason}") from None


def _entries(node: Any, counts: dict[int, int]) -> int:
    """Number of entries with aliases expanded; a node that contains itself has too many."""
    if not isinstance(node, dict | list | tuple | set):
        return 1
    if id(node) not in counts:
        counts[id(node)] = MOST_ENTRIES + 1  # read during the recursion only by a node that contains itself
        children = [*node.keys(), *node.values()] if isinstance(node, dict) else node
        counts[id(node)] = 1 + sum(_entries(child, counts) for child in children)
    return counts[id(node)]
