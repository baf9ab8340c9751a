"""JSON tables: an object per line, or an array of objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, listed, quoted
from easrec_nni.data.sources.delimited import TextFile, read_beginning

__all__ = ["JsonTable"]

_LARGEST_OBJECT_BYTES = 1 << 24


@dataclass(frozen=True)
class JsonTable:
    """Texts of JSON objects, one after another; keys that an object lacks are missing values.

    Attributes
    ----------
    texts : tuple of TextFile
        Texts to read, in order.
    names : tuple of str
        Keys of the first objects.
    encoding : str
        Encoding of all texts.
    array : bool
        Whether each text is an array of objects instead of an object a line.
    """

    texts: tuple[TextFile, ...]
    names: tuple[str, ...]
    encoding: str
    array: bool
    row_number = None

    @classmethod
    def at(cls, texts: Sequence[TextFile], encoding: str) -> JsonTable:
        """Table in the given texts, of which only the first objects are read.

        Raises
        ------
        UserError
            If the first text does not begin with an object.
        """
        text = read_beginning(texts[0], encoding).lstrip("\ufeff \t\r\n")
        array = text.startswith("[")
        names = dict.fromkeys(name for record in _first_objects(text, texts[0].label) for name in record)
        return cls(tuple(texts), tuple(names), encoding, array)

    @property
    def label(self) -> str:
        """Name of the first text."""
        return self.texts[0].label

    def relation(self, engine: Engine) -> str:
        """SQL that reads all texts, every value as a string (a list or an object as JSON)."""
        paths = [str(text.utf8(engine, self.encoding)) for text in self.texts]
        fields = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in self.names)
        aliases = ", ".join(f"c{place}" for place in range(len(self.names)))
        return (
            f"(SELECT * FROM read_json({listed(paths)}, columns = {{{fields}}}, auto_detect = false, "
            f"format = '{'array' if self.array else 'newline_delimited'}', "
            f"maximum_object_size = {_LARGEST_OBJECT_BYTES}) AS objects({aliases}))"
        )


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
            raise UserError(_not_json_message(text, label)) from error
    if not objects:
        raise UserError(f"{label} has no JSON object: give a file with an object for each interaction")
    return objects


def _not_json_message(text: str, label: str) -> str:
    if text.lstrip("[{ \t\r\n").startswith(("'", "u'", 'u"')):
        return (
            f"{label} has objects of Python instead of JSON ({text[:40]!r}): write each line anew with "
            "json.dumps(ast.literal_eval(line))"
        )
    return f"{label} begins like JSON but has no whole object ({text[:40]!r}): correct it"
