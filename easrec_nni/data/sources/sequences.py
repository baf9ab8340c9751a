"""Sequence files of SASRec's successors: a line per user with its items in time order."""

from __future__ import annotations

from dataclasses import dataclass

from easrec_nni.common.errors import UserError
from easrec_nni.data.engine import Engine, listed, quoted
from easrec_nni.data.sources.delimited import LARGEST_LINE_BYTES, TextFile, readable

__all__ = ["SequenceTable"]


@dataclass(frozen=True)
class SequenceTable:
    """Texts of lines ``user item item item …``, read as a row for each item.

    Attributes
    ----------
    texts : tuple of TextFile
        Texts to read, in order.
    delimiter : str
        Separator of the ids.
    encoding : str
        Encoding of all texts.
    """

    texts: tuple[TextFile, ...]
    delimiter: str
    encoding: str
    names: tuple[str, ...] = ("user", "item")
    row_number = None

    @property
    def label(self) -> str:
        """Name of the first text."""
        return self.texts[0].label

    def relation(self, engine: Engine) -> str:
        """SQL that reads all texts."""
        paths = [str(text.utf8(engine, self.encoding)) for text in self.texts]
        lines = (
            f"read_csv({listed(paths)}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, "
            f"delim = '\x01', quote = '', escape = '', strict_mode = true, max_line_size = {LARGEST_LINE_BYTES})"
        )
        ids = f"list_filter(string_split(line, {quoted(self.delimiter)}), lambda each: trim(each) <> '')"
        with readable(self.label, self.encoding):
            n_single = engine.row(f"SELECT count(*) FROM {lines} WHERE len({ids}) = 1")[0]
        if n_single:
            raise UserError(f"{self.label}: {n_single} lines have a user without items: remove them")
        return f"(SELECT ids[1] AS c0, unnest(ids[2:]) AS c1 FROM (SELECT {ids} AS ids FROM {lines}))"
