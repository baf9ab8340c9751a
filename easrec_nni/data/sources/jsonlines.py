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
from easrec_nni.data.sources.nested import NestedColumn

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
    columns : tuple of NestedColumn
        Values of the first objects.
    encoding : str
        Encoding of all texts.
    layout : str
        DuckDB's name of what each text is: an ``array``, ``newline_delimited`` objects, or ``unstructured`` ones over
        several lines each.
    lists : tuple of tuple of str
        Keys of the opened lists, whose elements are the rows.
    """

    texts: tuple[TextFile, ...]
    columns: tuple[NestedColumn, ...]
    encoding: str
    layout: str
    lists: tuple[tuple[str, ...], ...] = ()
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
        columns = dict.fromkeys(column for record in records for column in _nested(record))
        return cls(tuple(texts), _consistent(columns), encoding, _layout(text))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: keys, joined by dots where objects are nested (``user.id``)."""
        return tuple(column.name for column in self.columns)

    @property
    def label(self) -> str:
        """Name of the first text."""
        return self.texts[0].label

    def relation(self, engine: Engine) -> str:
        """SQL that reads all texts, every value as a string (a list or an object as JSON)."""
        files = [str(text.utf8(engine, self.encoding)) for text in self.texts]
        kinds: dict[str, str] = {}
        for column in self.columns:
            key, *further = column.keys
            kinds[key] = "JSON" if further or column.keys in self.lists else kinds.get(key, "VARCHAR")
        fields = ", ".join(f"{quoted(key)}: '{kind}'" for key, kind in kinds.items())
        aliases = {key: f"k{place}" for place, key in enumerate(kinds)}
        source = (
            f"read_json({listed(files)}, columns = {{{fields}}}, auto_detect = false, format = '{self.layout}', "
            f"maximum_object_size = {_LARGEST_OBJECT_BYTES}) AS objects({', '.join(aliases.values())})"
        )
        elements = [
            f"unnest({_elements(aliases[keys[0]], keys[1:])}) AS e{place}" for place, keys in enumerate(self.lists)
        ]
        if elements:
            source = f"(SELECT *, {', '.join(elements)} FROM {source})"
        values = ", ".join(f"{self._value(column, aliases)} AS c{place}" for place, column in enumerate(self.columns))
        return f"(SELECT {values} FROM {source})"

    def _value(self, column: NestedColumn, aliases: Mapping[str, str]) -> str:
        """SQL of a value, given the name of each key's column; NULL within a list that is not opened."""
        key, *further = column.keys
        if column.keys in self.lists:
            element = f"e{self.lists.index(column.keys)}"
            return f"json_extract_string({element}, {_pointer(column.inner or ())})"
        if column.inner:
            return "NULL"
        return f"json_extract_string({aliases[key]}, {_pointer(further)})" if further else aliases[key]


def _elements(column: str, keys: Sequence[str]) -> str:
    """SQL of a list under further keys in a column of objects; another value is a list of that value alone."""
    value = f"json_extract({column}, {_pointer(keys)})"
    return f"CASE WHEN json_type({value}) = 'ARRAY' THEN json_extract({value}, '$[*]') ELSE [{value}] END"


def _pointer(keys: Sequence[str]) -> str:
    """SQL of the path to a value (RFC 6901); without keys, to the whole."""
    return quoted("".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys) or "$")


def _nested(record: Mapping[str, Any], keys: tuple[str, ...] = ()) -> Iterator[NestedColumn]:
    """Columns of an object's values; those that are too deep in it to be a user or an item stay whole."""
    for key, value in record.items():
        path = (*keys, key)
        if len(path) == _DEEPEST or not value:
            yield NestedColumn(path)
        elif isinstance(value, dict):
            yield from _nested(value, path)
        elif isinstance(value, list):
            objects = [element for element in value if isinstance(element, dict) and element]
            fields = dict.fromkeys(field for element in objects for field in _nested(element, path))
            yield from (NestedColumn(path, field.keys[len(path) :]) for field in fields)
            if not objects:
                yield NestedColumn(path, ())
        else:
            yield NestedColumn(path)


def _consistent(columns: Iterable[NestedColumn]) -> tuple[NestedColumn, ...]:
    """Columns without those whose values are objects or lists in other rows.

    An object with very many keys is a map, such as from items to scores, and stays whole.
    """
    columns = tuple(columns)
    inner_keys = Counter(column.keys[0] for column in columns if len(column.keys) > 1 or column.inner)
    maps = {key for key, count in inner_keys.items() if count > _MOST_INNER}
    columns = tuple(dict.fromkeys(NestedColumn(c.keys[:1]) if c.keys[0] in maps else c for c in columns))
    lists_of_objects = {column.keys for column in columns if column.inner}
    lists = {column.keys for column in columns if column.inner is not None}
    outer = {column.keys[:depth] for column in columns for depth in range(1, len(column.keys))}

    def is_whole(column: NestedColumn) -> bool:
        if column.inner:
            return True
        above = {column.keys[:depth] for depth in range(1, len(column.keys) + 1)}
        return not (above & lists_of_objects or column.keys in outer or (column.inner is None and column.keys in lists))

    return tuple(column for column in columns if is_whole(column))


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
