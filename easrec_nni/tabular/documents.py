"""File of an architecture table: its typed document, reading and writing."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from easrec_nni.architecture.schema import ArchitectureSchema, DatasetIdentity
from easrec_nni.common.documents import LARGEST_FILE_BYTES, Document, Number, ResultDocument, parse_document
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write, read_bounded
from search_spaces.config import Choice, SpaceConfig

__all__ = [
    "KIND",
    "ArchitectureRow",
    "Correlation",
    "NoiseCeiling",
    "RunRow",
    "TableDocument",
    "read_table",
    "write_table",
]

KIND: Literal["easrec architecture table"] = "easrec architecture table"
REMEDY = "copy the table again, or write it with `easrec table collect`"
ROWS = ("architectures", "runs")
GZIP_MAGIC, GZIP_WINDOW = b"\x1f\x8b", 31  # 31: zlib expects gzip's header


class Correlation(Document):
    """Rank correlations over the architectures; None if all architectures are equal."""

    spearman: float | None = Field(ge=-1, le=1)
    kendall: float | None = Field(ge=-1, le=1)


class NoiseCeiling(Document):
    """Correlations that the seeds' noise allows, of one metric.

    Attributes
    ----------
    valid_halves, test_halves
        Between the means of two disjoint halves of the seeds, averaged over the splits; None with one seed.
    valid_test
        Between validation and test, means over all seeds: the same networks.
    valid_test_halves
        Between validation of one half of the seeds and test of the other; None with one seed.
    """

    valid_halves: Correlation | None = None
    test_halves: Correlation | None = None
    valid_test: Correlation
    valid_test_halves: Correlation | None = None


class ArchitectureRow(Document):
    """Architecture of the space, with its costs by name."""

    choices: Choice
    cost: dict[str, float]


class RunRow(Document):
    """Training of one architecture with one seed.

    Attributes
    ----------
    architecture
        Index in the document's ``architectures``.
    seed
        Seed of the training.
    values
        Values of the document's ``figures``.
    commit
        Version of the code that trained it.
    """

    architecture: int = Field(ge=0)
    seed: int = Field(ge=0)
    values: list[Number]
    commit: str | None = None


class TableDocument(ResultDocument):
    """Architecture table.

    Attributes
    ----------
    select_by
        NDCG@10 by which networks are compared, in the ranking that selected the epochs or suits the dataset.
    complete_seeds
        Seeds of which every architecture has a run; the noise ceiling is theirs.
    noise
        Noise ceiling by metric, such as ``ndcg@10_unseen``.
    figures
        Names of the runs' values.
    """

    kind: Literal["easrec architecture table"]
    schema_version: Literal[1]
    dataset: DatasetIdentity
    select_by: str
    complete_seeds: list[int]
    noise: dict[str, NoiseCeiling]
    settings: dict[str, Any]
    space: SpaceConfig
    figures: list[str]
    architectures: list[ArchitectureRow]
    runs: list[RunRow]

    @model_validator(mode="after")
    def _architectures_are_of_the_space(self) -> Self:
        for row in self.architectures:
            ArchitectureSchema(choices=row.choices, space=self.space, cost=row.cost)
        if len({row.choices for row in self.architectures}) < len(self.architectures):
            raise ValueError("architectures: one is there twice")
        return self

    @model_validator(mode="after")
    def _runs_fit(self) -> Self:
        if len(set(self.figures)) < len(self.figures):
            raise ValueError("figures: a name is there twice")
        for row in self.runs:
            if row.architecture >= len(self.architectures):
                raise ValueError(f"runs: there is no architecture {row.architecture}")
            if len(row.values) != len(self.figures):
                raise ValueError(f"runs: {len(row.values)} values for {len(self.figures)} figures")
        if len({(row.architecture, row.seed) for row in self.runs}) < len(self.runs):
            raise ValueError("runs: an architecture has a seed twice")
        return self


def read_table(path: Path) -> TableDocument:
    """Read a table, plain or compressed with gzip.

    Raises
    ------
    UserError
        The file cannot be read, is damaged, or is of another version.
    """
    content = read_bounded(path, LARGEST_FILE_BYTES, f"; {REMEDY}", f"; {REMEDY}")
    if content.startswith(GZIP_MAGIC):
        content = _decompressed(content, path)
    return parse_document(content, path, TableDocument, REMEDY)


def _decompressed(content: bytes, path: Path) -> bytes:
    stream = zlib.decompressobj(GZIP_WINDOW)
    try:
        text = stream.decompress(content, LARGEST_FILE_BYTES)
    except zlib.error as error:
        raise UserError(f"{path} is damaged ({error}); {REMEDY}") from None
    if not stream.eof:
        raise UserError(f"{path} is cut short, or larger than {LARGEST_FILE_BYTES} bytes; {REMEDY}")
    return text


def write_table(table: TableDocument, path: Path) -> None:
    """Write a table atomically: JSON with a line for each architecture and run, compressed if the name ends in .gz."""
    lines = []
    for name, value in table.as_json().items():
        rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in value) if name in ROWS else ""
        lines.append(f"{json.dumps(name)}: " + (f"[\n  {rows}\n]" if rows else json.dumps(value, allow_nan=False)))
    content = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    with atomic_write(path) as temporary:
        # No time stamp: equal tables are equal files.
        temporary.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
