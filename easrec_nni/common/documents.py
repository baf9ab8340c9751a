"""JSON documents as typed models, shared by the code that writes them and the code that reads them.

Keys that a later version adds are left alone. Fields that earlier versions did not write have defaults; a document that
was read is written again with the keys that it had.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_bounded
from easrec_nni.common.validation import first_problem

__all__ = ["Document", "Number", "ResultDocument", "Value", "read_document"]

Number = int | float
Value = int | float | str | bool | None
"""A value that JSON writes without brackets."""

LARGEST_FILE_BYTES = 16 << 20
LONGEST_QUOTE = 120  # characters of a message that quotes what it refuses


class Document(BaseModel):
    """A JSON object with known keys, and further ones of later versions."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    def as_json(self) -> dict[str, Any]:
        """The object as it is written; what was never set is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class ResultDocument(Document):
    """A result with its provenance; see :func:`easrec_nni.common.provenance.provenance`."""

    command: str = ""
    commit: str | None = None
    versions: dict[str, str] = {}
    written: str = ""

    def as_json(self) -> dict[str, Any]:
        """The object as it is written, its provenance at the end."""
        document = super().as_json()
        last = {name: document.pop(name) for name in ResultDocument.model_fields if name in document}
        return document | last


Model = TypeVar("Model", bound=Document)


def read_document(path: Path, model: type[Model], remedy: str) -> Model:
    """A JSON file as a document.

    Parameters
    ----------
    path
        The file.
    model
        Type of the document.
    remedy
        What a user can do about a damaged file; ends the message.

    Raises
    ------
    UserError
        The file cannot be read, is not JSON, is of another version, or lacks what the model asks for.
    """
    content = read_bounded(path, LARGEST_FILE_BYTES, f"; {remedy}", f"; {remedy}")
    try:
        document = json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({str(error)[:LONGEST_QUOTE]}); {remedy}") from None
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{path} is damaged or of another version ({first_problem(error, model)}); {remedy}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")
