"""JSON tables: objects one after another, as a rule one a line, or an array of objects."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, listed, quoted
from easrec_nni.data.sources.delimited import TextFile, read_beginning

__all__ = ["JsonTable"]

_LARGEST_OBJECT_BYTES = 1 << 24
_LARGEST_FIRST_OBJECT = 500_000
_DEEPEST = 8
_MOST_INNER = 100
_WHOLE_TABLE = re.compile(
    r'\{\s*("columns":\s*\[|"0":\s*\{|"([^"\\]|\\.)*":\s*\{\s*"0":)'
)  # forms of DataFrame.to_json


@dataclass(frozen=True)
class JsonTable:
    """Texts of JSON objects, one after another; keys that an object lacks are missing values.

    Attributes
    ----------
    texts : tuple of TextFile
        Texts to read, in order.
    paths : tuple of tuple of str
        Keys of the first objects; several keys where a value is an object itself.
    encoding : str
        Encoding of all texts.
    layout : str
        DuckDB's name of what each text is: an ``array``, ``newline_delimited`` objects, or ``unstructured`` ones over
        several lines each.
    """

    texts: tuple[TextFile, ...]
    paths: tuple[tuple[str, ...], ...]
    encoding: str
    layout: str
    row_number = None

    @classmethod
    def at(cls, texts: Sequence[TextFile], encoding: str) -> JsonTable:
        """Table in the given texts, of which only the first objects are read.

        Raises
        ------
        UserError
            If the first text does not begin with an object, or its first object holds all rows.
        """
        text = read_beginning(texts[0], encoding).lstrip("\ufeff \t\r\n")
        if _WHOLE_TABLE.match(text):
            raise UserError(
                f"{texts[0].label} is one object for the whole table: write an object for each row, such as with "
                "DataFrame.to_json(path, orient='records', lines=True)"
            )
        records = _first_objects(text, texts[0].label)
        _refuse_wrapped_rows(records, texts[0].label)
        paths = dict.fromkeys(path for record in records for path in _paths(record))
        return cls(tuple(texts), _columns(paths), encoding, _layout(text))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: keys, joined by dots where objects are nested (``user.id``)."""
        return tuple(".".join(path) for path in self.paths)

    @property
    def label(self) -> str:
        """Name of the first text."""
        return self.texts[0].label

    def relation(self, engine: Engine) -> str:
        """SQL that reads all texts, every value as a string (a list or an object as JSON)."""
        files = [str(text.utf8(engine, self.encoding)) for text in self.texts]
        keys: dict[str, str] = {}
        for key, *inner in self.paths:
            keys[key] = "JSON" if inner else keys.get(key, "VARCHAR")
        fields = ", ".join(f"{quoted(key)}: '{kind}'" for key, kind in keys.items())
        aliases = {key: f"k{place}" for place, key in enumerate(keys)}
        columns = ", ".join(
            f"{_value(aliases[path[0]], path[1:])} AS c{place}" for place, path in enumerate(self.paths)
        )
        return (
            f"(SELECT {columns} FROM read_json({listed(files)}, columns = {{{fields}}}, auto_detect = false, "
            f"format = '{self.layout}', "
            f"maximum_object_size = {_LARGEST_OBJECT_BYTES}) AS objects({', '.join(aliases.values())}))"
        )


def _value(column: str, keys: Sequence[str]) -> str:
    """SQL of a value, under further keys in a column of objects."""
    if not keys:
        return column
    pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)  # RFC 6901
    return f"json_extract_string({column}, {quoted(pointer)})"


def _paths(record: Mapping[str, Any], depth: int = 1) -> Iterator[tuple[str, ...]]:
    """Keys of all values of an object that are not objects themselves, or too deep in it to be a user or an item."""
    for key, value in record.items():
        if isinstance(value, dict) and value and depth < _DEEPEST:
            yield from ((key, *inner) for inner in _paths(value, depth + 1))
        else:
            yield (key,)


def _columns(paths: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Paths of the columns; an object with very many keys is a map, such as from items to scores, and stays whole."""
    paths = tuple(paths)
    keys = Counter(key for key, *inner in paths if inner)
    paths = tuple(dict.fromkeys(path[:1] if keys[path[0]] > _MOST_INNER else path for path in paths))
    outer = {path[:depth] for path in paths for depth in range(1, len(path))}
    return tuple(path for path in paths if path not in outer)


def _layout(text: str) -> str:
    if text.startswith("["):
        return "array"
    try:
        json.loads(text.partition("\n")[0])
    except ValueError:  # the first object goes on in the next line, as jq writes it
        return "unstructured"
    return "newline_delimited"


def _first_objects(text: str, label: str) -> list[dict[str, Any]]:
    """Whole objects at the beginning of a text that may be cut anywhere."""
    decoder, objects, place = json.JSONDecoder(), [], 1 if text.startswith("[") else 0
    try:
        while place < len(text):
            if text[place] in " \t\r\n,":
                place += 1
                continue
            if text[place] == "]":
                break
            value, place = decoder.raw_decode(text, place)
            if isinstance(value, dict):
                objects.append(value)
    except (ValueError, RecursionError) as error:
        if not objects:  # and not the end of what was read
            raise UserError(_not_json_message(text, label, getattr(error, "pos", 0))) from error
    if not objects:
        raise UserError(f"{label} has no JSON object: give a file with an object for each interaction")
    return objects


def _refuse_wrapped_rows(records: Sequence[Mapping[str, Any]], label: str) -> None:
    """Refuse a single object with the list of rows under one of its keys."""
    for key, value in records[0].items() if len(records) == 1 else ():
        if isinstance(value, list) and len(value) > 1 and all(isinstance(row, dict) for row in value):
            raise UserError(
                f"{label} is one object, with rows in a list under {key[:60]!r}: write that list alone into a file, "
                f"such as with jq '.{key[:60]}' {label} > rows.json"
            )


def _not_json_message(text: str, label: str, place: int) -> str:
    if text.lstrip("[{ \t\r\n").startswith(("'", "u'", 'u"')):
        return (
            f"{label} has objects of Python instead of JSON ({text[:40]!r}): write each line anew with "
            "json.dumps(ast.literal_eval(line))"
        )
    if place > _LARGEST_FIRST_OBJECT:
        size = f"more than {_LARGEST_FIRST_OBJECT} characters"
        return f"{label} begins with an object of {size}: write an object for each interaction"
    return f"{label} begins like JSON but has no whole object ({text[:40]!r}): correct it"
