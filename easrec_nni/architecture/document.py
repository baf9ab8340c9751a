"""``architecture.json``: reading, checking and writing an architecture."""

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
from easrec_nni.common.run_files import ARCHITECTURE_FILE
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
    """One architecture of a search space, with its origin, cost and metrics.

    Only ``choices`` and ``space`` are required, e.g. in a file written by hand; a search fills in the rest.

    Examples
    --------
    >>> from search_spaces import Choice, SpaceConfig
    >>> space = SpaceConfig(n_items=1682, hidden=64, inner=256, heads=2)
    >>> architecture = Architecture(choices=Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=2), space=space)
    >>> architecture.choices.label
    'hidden25_inner50'
    >>> Architecture.parse(architecture.to_json()) == architecture
    True
    """

    def unpruned(self) -> Architecture:
        """Largest architecture of the same space, with the same data and training settings."""
        return Architecture(choices=self.space.largest, space=self.space, dataset=self.dataset, training=self.training)

    def draw(self, unpruned_cost: dict[str, float] | None = None) -> RenderableType:
        """Drawing of the network for a terminal; print it with ``rich.print``.

        Parameters
        ----------
        unpruned_cost
            Cost of the largest architecture, for relative costs.
        """
        return draw(self, unpruned_cost)

    def to_json(self, indent: int | None = 2) -> str:
        """JSON text with keys in the order of the schema, without unset fields.

        Parameters
        ----------
        indent
            Spaces per level; None writes a single line, as in NNI's records.
        """
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        end = "" if indent is None else "\n"
        return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False) + end

    def write(self, path: str | Path) -> None:
        """Write the JSON file atomically.

        Raises
        ------
        UserError
            The file cannot be written.
        """
        write_text(Path(path), self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> Architecture:
        """Read an architecture from a JSON file, or from ``architecture.json`` in a folder.

        Raises
        ------
        UserError
            The file is missing or not JSON, has an unknown version or key, a value is missing, not finite or not in the
            space, or the heads do not divide the widths.
        """
        file = Path(path)
        if file.is_dir():
            file /= ARCHITECTURE_FILE
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
        """Parse an architecture from JSON text; messages name ``origin`` as its source.

        Raises
        ------
        UserError
            See :meth:`read`.
        """
        document = _load(text, origin)
        version = document.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION or isinstance(version, bool):
            raise UserError(
                f"{origin}: unsupported schema_version {version!r}, only {SCHEMA_VERSION} is supported; "
                "use the version of easrec-nni that wrote the file, or a newer one"
            )
        try:
            return cls.model_validate_json(
                text, strict=True, by_alias=True, by_name=False
            )  # strict: "2" and true are not numbers
        except ValidationError as error:
            raise UserError(f"{origin}: {first_problem(error, cls)}") from None


def _load(text: str, origin: str) -> dict[str, Any]:
    """Parse a JSON object strictly: NaN and duplicate keys are errors."""

    def refuse_constant(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number in JSON")

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            duplicate = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"the key {duplicate!r} appears twice")
        return result

    try:
        document = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique_keys)
    except RecursionError:
        raise UserError(f"{origin} is nested too deeply: not an architecture file") from None
    except ValueError as error:  # also JSONDecodeError, and integers of thousands of digits
        raise UserError(f"{origin} is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise UserError(f"{origin} must hold an object with the keys 'choices' and 'space'")
    return document
