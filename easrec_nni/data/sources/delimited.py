"""Reading named columns of delimited text as strings, with errors that a user understands."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import csv as arrow_csv

from easrec_nni.common.errors import UserError

_HEADER_LIMIT = 1 << 20
_LARGEST_MEMBER_BYTES = 4 << 30
"""A member of an archive is read whole; a small archive can hold one that fills any memory."""


def check_encoding(name: str) -> str:
    """Return the canonical name of an encoding.

    Raises
    ------
    UserError
        If Python knows no text encoding of that name.
    """
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        raise UserError(f"unknown encoding {name!r}: pass --encoding utf-8, latin-1, gb18030 or another") from error


def check_delimiter(text: str) -> str:
    r"""Return the delimiter, with ``\t`` typed as two characters turned into a tab.

    Raises
    ------
    UserError
        If it is not a single character.
    """
    delimiter = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '\r\n"\0':
        raise UserError(f"--delimiter {text!r} is no single character: pass one such as ',' ';' '|' or '\\t'")
    return delimiter


@contextmanager
def readable(label: str, encoding: str = "utf-8") -> Iterator[None]:
    """Turn what reading `label` may raise into a UserError."""
    try:
        yield
    except UserError:
        raise
    except UnicodeDecodeError as error:
        raise UserError(f"{label} is not {encoding} text: pass its --encoding, such as latin-1") from error
    except (gzip.BadGzipFile, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{label} is broken or incomplete ({error}): get the file again") from error
    except FileNotFoundError as error:
        raise UserError(f"no file {label}: check the path") from error
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        if "UTF8" in str(error) or "UTF-8" in str(error):
            raise UserError(f"{label} is not {encoding} text: pass its --encoding, such as latin-1") from error
        raise UserError(f"cannot read {label}: {str(error).splitlines()[0][:300]}") from error


@dataclass(frozen=True)
class TextFile:
    """A text that can be read from its beginning as often as needed.

    Attributes
    ----------
    label : str
        What errors call it.
    open : callable
        Opens it and returns a binary file.
    """

    label: str
    open: Callable[[], IO[bytes]]

    @classmethod
    def at(cls, path: Path) -> TextFile:
        """The text in a file, which is decompressed if its name ends in ``.gz``."""
        if path.name.endswith(".gz"):
            return cls(path.name, lambda: gzip.open(path, "rb"))  # type: ignore[arg-type, return-value]
        return cls(path.name, lambda: path.open("rb"))

    @classmethod
    def member(cls, archive: Path, name: str) -> TextFile:
        """The text in one member of a zip archive, found by its exact name; nothing is extracted."""
        return cls(f"{name} in {archive.name}", lambda: io.BytesIO(_member_bytes(archive, name)))


def _member_bytes(archive: Path, name: str) -> bytes:
    with readable(archive.name), zipfile.ZipFile(archive) as opened:
        try:
            if opened.getinfo(name).file_size > _LARGEST_MEMBER_BYTES:
                raise UserError(f"{name} in {archive.name} is too large to be read from an archive: unpack it first")
            return opened.read(name)
        except KeyError as error:
            raise UserError(f"{archive.name} has no {name}: get the file from its publisher again") from error
        except RuntimeError as error:  # encrypted, or compressed in a way that Python does not know
            raise UserError(f"{name} in {archive.name} cannot be unpacked ({error}): unpack it first") from error


def read_header(text: TextFile, encoding: str) -> str:
    """First line of a text, without its end and without a byte order mark.

    Raises
    ------
    UserError
        If the text is empty or not in that encoding.
    """
    with readable(text.label, encoding), text.open() as stream:
        raw = stream.read(_HEADER_LIMIT)
        decoded = codecs.getincrementaldecoder(encoding)().decode(raw, final=len(raw) < _HEADER_LIMIT)
    if not decoded.strip("\ufeff \r\n\t\0"):
        raise UserError(f"{text.label} is empty: give a file with a header and interactions")
    return decoded.lstrip("\ufeff").splitlines()[0]


def split_header(line: str, delimiter: str, quoted: bool) -> list[str]:
    """Names of the columns in a header line, without space around them."""
    if not quoted:
        return [name.strip() for name in line.split(delimiter)]
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]


def read_columns(
    text: TextFile,
    wanted: Sequence[int],
    n_columns: int,
    *,
    delimiter: str,
    encoding: str = "utf-8",
    header: bool = True,
    quoted: bool = True,
) -> pa.Table:
    """Read columns of a delimited text as strings.

    Parameters
    ----------
    text : TextFile
        The text to read.
    wanted : sequence of int
        Places of the columns to read, counted from 0.
    n_columns : int
        Columns that every row must have.
    delimiter, encoding : str
        One character, and a text encoding.
    header : bool
        Whether the first row is a header.
    quoted : bool
        Whether ``"`` quotes values (which may then have delimiters and ends of lines in them).

    Returns
    -------
    pyarrow.Table
        One string column for each of `wanted`, called by its place ("0", "1", ...).

    Raises
    ------
    UserError
        If a row has another number of columns, the text is not in that encoding, or has no rows.
    """
    names = [str(place) for place in wanted]
    label = text.label
    with readable(label, encoding), text.open() as stream:
        try:
            table = arrow_csv.read_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=arrow_csv.ReadOptions(
                    column_names=[str(place) for place in range(n_columns)],
                    skip_rows=int(header),
                    encoding=encoding,
                    block_size=1 << 23,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=names, column_types={name: pa.string() for name in names}
                ),
            )
        except pa.ArrowInvalid as error:
            # Both say that there is no row below the header; the second if the header's line has no end.
            if not any(sign in str(error) for sign in ("Empty CSV", "Could not skip initial")):
                raise
            table = pa.table({name: pa.array([], pa.string()) for name in names})
    if table.num_rows == 0:
        raise UserError(f"{label} has no interactions{' below its header' if header else ''}: give a complete file")
    return table
