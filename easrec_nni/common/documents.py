"""JSON documents as typed models, shared by writer and reader.

Unknown keys, such as those of a later version, are kept. Fields that earlier versions did not write have defaults; a
document that was read is written back with the keys that it had.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_bounded
from easrec_nni.common.validation import first_problem

__all__ = ["Document", "Number", "ResultDocument", "Value", "deep_merge", "parse_document", "read_document"]

Number = int | float
Value = int | float | str | bool | None
"""A JSON scalar."""

LARGEST_FILE_BYTES = 16 << 20
LONGEST_QUOTE = 120  # characters of file content quoted in a message


class Document(BaseModel):
    """A JSON object with typed fields; unknown keys, as of later versions, are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    def as_json(self) -> dict[str, Any]:
        """The object for writing, without fields that were never set."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class ResultDocument(Document):
    """A result with its provenance; see :func:`easrec_nni.common.provenance.provenance`."""

    command: str = ""
    commit: str | None = None
    versions: dict[str, str] = {}
    written: str = ""

    def as_json(self) -> dict[str, Any]:
        """The object for writing, without fields that were never set; provenance comes last."""
        document = super().as_json()
        provenance = {name: document.pop(name) for name in ResultDocument.model_fields if name in document}
        return document | provenance


def deep_merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Dictionary with the keys of both; ``override`` wins, and sections are merged key by key.

    Examples
    --------
    >>> deep_merge({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 4}})
    {'a': 1, 'b': {'c': 2, 'd': 4}}
    """
    result = {**base, **override}
    for key in base.keys() & override.keys():
        if isinstance(base[key], dict) and isinstance(override[key], dict):
            result[key] = deep_merge(base[key], override[key])
    return result


Model = TypeVar("Model", bound=Document)


def read_document(path: Path, model: type[Model], remedy: str) -> Model:
    """Read a JSON file as a typed document.

    Parameters
    ----------
    path
        The file.
    model
        Type of the document.
    remedy
        Advice for a damaged file, at the end of the message.

    Raises
    ------
    UserError
        The file cannot be read, is not JSON, is of another version, or lacks a required field.
    """
    return parse_document(read_bounded(path, LARGEST_FILE_BYTES, f"; {remedy}", f"; {remedy}"), path, model, remedy)


def parse_document(content: bytes, path: Path, model: type[Model], remedy: str) -> Model:
    """:func:`read_document` of content that was already read from ``path``."""
    try:
        document = json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({str(error)[:LONGEST_QUOTE]}); {remedy}") from None
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{path} is damaged or of another version ({first_problem(error, model)}); {remedy}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
