"""Delimited text, compressed or not and in any encoding, as a table that the engine reads."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import duckdb
import pyarrow as pa

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, listed, quoted

_HEADER_LIMIT = 1 << 20
_BEGINNING = 100  # characters in which UTF-16 read as UTF-8 has zeros
_LONGEST_DELIMITER = 4  # of the engine
_BLOCK = 1 << 22
LARGEST_LINE_BYTES = 1 << 23
_LARGEST_MEMBER_BYTES = 4 << 30
"""Largest member of an archive that is unpacked; a small archive can hold one that fills any disk."""
_LINE_ENDS = re.compile("\r\n|\n|\r")
PACKED = (".gz", ".bz2", ".zst")
"""Suffixes of compressed files."""
_MAGIC = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst"}
"""First bytes of compressed files."""


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
        If it is not one character, or up to four such as ``::``.
    """
    delimiter = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if not 1 <= len(delimiter) <= _LONGEST_DELIMITER or not delimiter.isascii() or set(delimiter) & set('\r\n"\0'):
        raise UserError(f"--delimiter {text!r} cannot separate columns: pass one such as ',' ';' '|' '::' or '\\t'")
    return delimiter


def check_quote(text: str | None) -> str | None:
    """Return the quote character around values; empty for none, None to detect it.

    Raises
    ------
    UserError
        If it is not a single character.
    """
    if text is None or text.lower() == "none":
        return None if text is None else ""
    if len(text) != 1 or not text.isascii() or text in "\r\n\0":
        raise UserError(f"--quote {text!r} is not a single character: pass one such as '\"', or none")
    return text


@contextmanager
def readable(label: str, encoding: str = "utf-8") -> Iterator[None]:
    """Turn the errors that reading `label` may raise into a UserError."""
    try:
        yield
    except UserError:
        raise
    except UnicodeError as error:
        raise UserError(_other_encoding(label, encoding)) from error
    except (gzip.BadGzipFile, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{label} is broken or incomplete ({error}): get the file again") from error
    except FileNotFoundError as error:
        raise UserError(f"no file {label}: check the path") from error
    except duckdb.Error as error:
        raise UserError(_explain(label, str(error), encoding)) from error
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        raise UserError(f"cannot read {label}: {str(error).splitlines()[0][:300]}") from error


def _other_encoding(label: str, encoding: str) -> str:
    return f"{label} is not {encoding} text: pass its --encoding, such as cp1252 (Windows), latin-1 or gb18030"


def _explain(label: str, error: str, encoding: str) -> str:
    """Explain an error of the engine to the user."""
    if "invalid unicode" in error.lower() or "utf-8" in error.lower():
        return _other_encoding(label, encoding)
    line = re.search(r"on Line: (\d+)", error)
    where = f"line {line.group(1)}: " if line else ""
    place = re.search(r"at byte \d+ in (?:line|record/value) (\d+): (.*)", error)
    columns = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", error)
    if columns is not None:
        what = f"Expected {columns.group(1)} columns, got {columns.group(2)}: correct it, or pass another --delimiter"
    elif "JSON" in error:
        what = f"no valid JSON ({place.group(2).split('.')[0] if place else ' '.join(error.split())[:200]}): correct it"
    elif "unterminated quote" in error or "invalid state" in error:
        what = (
            "a quotation mark is not closed, or text follows a closing one: pass --quote none if they belong to values"
        )
    elif "aximum line size" in error:
        what = f"it is longer than {LARGEST_LINE_BYTES} bytes: check that the file is a table with ends of lines"
    elif "Out of Memory" in error:
        return f"{label} needs more memory than it may have: pass a larger --memory"
    elif "No space left" in error:
        return f"{label} needs more disk than there is: pass --spill with a folder on a larger disk"
    else:
        what = " ".join(error.split())[:300]
    return f"cannot read {label}: {where}{what}"


@dataclass(frozen=True)
class TextFile:
    """A text that can be read from its beginning as often as needed.

    Attributes
    ----------
    label : str
        Name of the text in messages.
    open : callable
        Function that opens the text as a binary file.
    plain : Path or None
        Path of the file, where it is neither compressed nor in an archive.
    """

    label: str
    open: Callable[[], IO[bytes]]
    plain: Path | None = None

    @classmethod
    def at(cls, path: Path) -> TextFile:
        """Text in a file, which is decompressed if its first bytes, or its name, say that it is compressed."""
        kind = _packing(path)
        if kind == ".gz":
            return cls(path.name, lambda: gzip.open(path, "rb"))  # type: ignore[arg-type, return-value]
        if kind == ".bz2":
            return cls(path.name, lambda: bz2.open(path, "rb"))
        if kind == ".zst":
            return cls(path.name, lambda: pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
        return cls(path.name, lambda: path.open("rb"), path)

    @classmethod
    def member(cls, archive: Path, name: str) -> TextFile:
        """Text in one member of a zip archive, by its exact name."""
        return cls(f"{name} in {archive.name}", lambda: io.BytesIO(_member_bytes(archive, name)))

    def utf8(self, engine: Engine, encoding: str) -> Path:
        """UTF-8 file of the text with uniform line ends: itself, or a copy in the engine's folder."""
        with readable(self.label, encoding):
            if self.plain is not None and encoding == "utf-8" and not _needs_normalizing(self.plain):
                return self.plain
            copy = engine.folder / f"text-{len(list(engine.folder.glob('text-*')))}"
            with self.open() as stream, copy.open("w", encoding="utf-8", newline="\n") as out:
                text = io.TextIOWrapper(io.BufferedReader(cast(io.RawIOBase, _Raw(stream))), encoding=encoding)
                out.write(text.read(_BLOCK).lstrip("\ufeff\n"))
                while block := text.read(_BLOCK):
                    out.write(block)
        return copy


def _packing(path: Path) -> str:
    """Suffix of the compression that a file's first bytes show; that of its name if they show none.

    Raises
    ------
    UserError
        It is a workbook or an archive of files.
    """
    try:
        with path.open("rb") as stream:
            first = stream.read(4)
    except OSError:
        return path.suffix  # opening it says why it cannot be read
    if first == b"PK\x03\x04":
        raise UserError(f"{path.name} is a workbook or an archive: save it as CSV in UTF-8, or unpack it")
    return next((suffix for magic, suffix in _MAGIC.items() if first.startswith(magic)), path.suffix)


class _Raw(io.RawIOBase):
    """Adapter from a binary stream of any library to Python's."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


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


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block + stream.read(1) if block.endswith(b"\r") else block


def _needs_normalizing(path: Path) -> bool:
    """Whether a text begins with an empty line, or mixes several kinds of line ends."""
    lone_feeds = pairs = lone_returns = False
    for number, block in enumerate(_blocks(path)):
        if number == 0 and block.removeprefix(codecs.BOM_UTF8).startswith((b"\r", b"\n")):
            return True
        returns, feeds = block.count(b"\r"), block.count(b"\n")
        both = block.count(b"\r\n") if returns else 0
        pairs, lone_feeds, lone_returns = pairs or both > 0, lone_feeds or feeds > both, lone_returns or returns > both
    return pairs + lone_feeds + lone_returns > 1


def text_encoding(text: TextFile, chosen: str | None) -> str:
    """Encoding of a text: `chosen`, or UTF-16 if it has that byte order mark, or else UTF-8."""
    if chosen is not None:
        return check_encoding(chosen)
    with readable(text.label), text.open() as stream:
        return "utf-16" if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"


def read_beginning(text: TextFile, encoding: str) -> str:
    """First megabyte of a text, decoded.

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
    if "\0" in decoded[:_BEGINNING] and encoding == "utf-8":
        place = decoded.index("\0") % 2
        raise UserError(
            f"{text.label} is not text in UTF-8: pass --encoding utf-16-{'le' if place else 'be'} if it is text, or "
            "give a table as text or Parquet"
        )
    return decoded


def read_header(text: TextFile, encoding: str) -> str:
    """First line of a text that is not empty, without line end and byte order mark.

    Raises
    ------
    UserError
        As for `read_beginning`.
    """
    return _LINE_ENDS.split(read_beginning(text, encoding).lstrip("\ufeff\r\n"), maxsplit=1)[0]


def split_header(line: str, delimiter: str, quote: bool) -> list[str]:
    """Names of the columns in a header line, without space around them."""
    if not quote or len(delimiter) > 1:
        return [name.strip() for name in line.split(delimiter)]
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error:  # such as a field of more than 128 kB
        return [line]


@dataclass(frozen=True)
class DelimitedTable:
    """Delimited texts of the same columns, one after another.

    Attributes
    ----------
    texts : tuple of TextFile
        Texts to read, in order.
    names : tuple of str
        Columns that every row must have.
    delimiter : str
        Separator of the columns.
    encoding : str
        Encoding of all texts.
    header : bool
        Whether the first line of each text has the names.
    quote : str or None
        Character around values that may have delimiters and ends of lines in them; empty for none, and None detects
        it from the rows.
    """

    texts: tuple[TextFile, ...]
    names: tuple[str, ...]
    delimiter: str
    encoding: str = "utf-8"
    header: bool = True
    quote: str | None = None
    row_number = None

    @property
    def label(self) -> str:
        """Name of the first text."""
        return self.texts[0].label

    def relation(self, engine: Engine) -> str:
        """SQL that reads all texts, every column as a string."""
        paths = [str(text.utf8(engine, self.encoding)) for text in self.texts]
        with readable(self.label, self.encoding):
            return self._choose_quotes(engine, paths)

    def _choose_quotes(self, engine: Engine, paths: Sequence[str]) -> str:
        if self.quote is not None or not any(b'"' in block for path in paths for block in _blocks(Path(path))):
            return self._sql(paths, self.quote or "", self.quote or "")
        counts: dict[str, int] = {}
        failures: list[duckdb.Error] = []
        for quote, escape in (('"', '"'), ('"', "\\"), ("", "")):
            sql = self._sql(paths, quote, escape)
            if escape == "\\" and counts:
                continue
            try:
                counts[sql] = engine.row(f"SELECT count(*) FROM {sql}")[0]
            except duckdb.InvalidInputException as error:
                failures.append(error)
        if not counts:
            raise failures[0]
        if len(set(counts.values())) > 1:
            with_quotes, without = counts.values()
            raise UserError(
                f"{self.label} has {with_quotes} rows if quotation marks enclose values and {without} if they belong "
                """to them: pass --quote '"' for the first or --quote none for the second"""
            )
        return next(iter(counts))

    def _sql(self, paths: Sequence[str], quote: str, escape: str) -> str:
        columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(self.names)))
        return (
            f"read_csv({listed(paths)}, columns = {{{columns}}}, auto_detect = false, header = false, "
            f"skip = {int(self.header)}, delim = {quoted(self.delimiter)}, quote = {quoted(quote)}, "
            f"escape = {quoted(escape)}, strict_mode = true, max_line_size = {LARGEST_LINE_BYTES})"
        )
