"""A searched architecture as JSON: what was chosen, from which space, for which data, at what cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from rich.console import RenderableType

from easrec_nni.architecture.drawing import draw
from easrec_nni.architecture.schema import (
    LARGEST_DECIDED_ENTROPY,
    SCHEMA_VERSION,
    ArchitectureSchema,
    DatasetReference,
    is_decided,
)
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_bounded, write_text
from easrec_nni.common.validation import first_problem

__all__ = [
    "LARGEST_DECIDED_ENTROPY",
    "SCHEMA_VERSION",
    "Architecture",
    "DatasetReference",
    "is_decided",
]


LARGEST_FILE_BYTES = 1 << 20


class Architecture(ArchitectureSchema):
    """One architecture of a search space and what is known about it.

    Only ``choices`` and ``space`` are needed, so that a file written by hand works; a search fills in the rest.

    Examples
    --------
    >>> space = SpaceConfig(n_items=1682, hidden=64, inner=256, heads=2)
    >>> architecture = Architecture(choices=Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=2), space=space)
    >>> architecture.choices.label
    'hidden25_inner50'
    >>> Architecture.parse(architecture.to_json()) == architecture
    True
    """

    def unpruned(self) -> Architecture:
        """The largest architecture of the same space on the same data, to be trained alike; not searched."""
        return Architecture(choices=self.space.largest, space=self.space, dataset=self.dataset, training=self.training)

    def draw(self, unpruned_cost: dict[str, float] | None = None) -> RenderableType:
        """Picture of the network for a terminal; print it with ``rich.print``.

        Parameters
        ----------
        unpruned_cost
            Cost of the largest architecture, to show shares of.
        """
        return draw(self, unpruned_cost)

    def to_json(self, indent: int | None = 2) -> str:
        """The document as it is written: keys in the order of the schema, nothing that is not known.

        Parameters
        ----------
        indent
            Spaces of a level; None writes all on one line, as NNI's records hold it.
        """
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        end = "" if indent is None else "\n"
        return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False) + end

    def write(self, path: str | Path) -> None:
        """Write the JSON file, whole or not at all.

        Raises
        ------
        UserError
            The place cannot be written to.
        """
        write_text(Path(path), self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> Architecture:
        """Architecture of a JSON file.

        Raises
        ------
        UserError
            One line for a missing file, broken JSON, an unknown version or key, a value that is missing, not finite or
            not in the space, and widths that the heads do not divide.
        """
        file = Path(path)
        if not file.exists():
            raise UserError(f"there is no architecture file {file}; `easrec export` writes one")
        content = read_bounded(file, LARGEST_FILE_BYTES, ": not an architecture file")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{file} is not UTF-8 text: not an architecture file") from None
        return cls.parse(text, str(file))

    @classmethod
    def parse(cls, text: str, origin: str = "architecture") -> Architecture:
        """Architecture of a JSON text; ``origin`` says in messages where it comes from.

        Raises
        ------
        UserError
            As :meth:`read`.
        """
        document = _load(text, origin)
        version = document.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION or isinstance(version, bool):
            raise UserError(
                f"{origin}: schema_version {version!r} is not known here, only {SCHEMA_VERSION}; "
                "use the version of easrec-nni that wrote the file, or a newer one"
            )
        try:
            return cls.model_validate_json(
                text, strict=True, by_alias=True, by_name=False
            )  # strict: "2" and true are not numbers
        except ValidationError as error:
            raise UserError(f"{origin}: {first_problem(error, cls)}") from None


def _load(text: str, origin: str) -> dict[str, Any]:
    """The JSON object of a text, with what Python's reader lets through refused: NaN, keys that appear twice."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number of JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"the key {twice!r} appears twice")
        return result

    try:
        document = json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
    except RecursionError:
        raise UserError(f"{origin} is nested too deeply: not an architecture file") from None
    except ValueError as error:  # JSONDecodeError among them, and integers of thousands of digits
        raise UserError(f"{origin} is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise UserError(f"{origin} must hold an object with the keys 'choices' and 'space'")
    return document
