"""Registry of the sources of interactions.

To add a dataset, write one file in this folder with a class that has the members of
`easrec_nni.data.sources.base.Source`, and add one line to `NAMED`.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.data.sources.amazon import AMAZON
from easrec_nni.data.sources.atomic import AtomicSource, is_atomic
from easrec_nni.data.sources.base import RawLog, Source
from easrec_nni.data.sources.douban import DoubanSource
from easrec_nni.data.sources.gowalla import GowallaSource
from easrec_nni.data.sources.movielens import ML_1M, ML_100K
from easrec_nni.data.sources.synthetic import SYNTHETIC_GOWALLA
from easrec_nni.data.sources.table import TableSource

NAMED: tuple[Source, ...] = (
    ML_100K,
    ML_1M,
    GowallaSource(),
    DoubanSource(),
    *AMAZON,
    SYNTHETIC_GOWALLA,
)
"""Datasets by name."""

LOCAL_KINDS: tuple[Source, ...] = (AtomicSource(), TableSource())
"""Kinds of local files; the second takes every file that is not of the first kind."""

__all__ = ["LOCAL_KINDS", "NAMED", "RawLog", "Source", "choose_source", "choose_sources"]


def choose_sources(
    source: str | Path | Sequence[str | Path], path: Path | None
) -> tuple[Source, tuple[Path, ...] | None]:
    """Choose the reader of `source`, which may be several files of the same columns.

    Parameters
    ----------
    source : str, Path or sequence of these
        As for `choose_source`; a pattern such as ``logs/*.csv`` and several paths are read one after another.
    path : Path or None
        Local files of a named dataset, instead of downloading it.

    Returns
    -------
    source : Source
        Reader of the data.
    paths : tuple of Path or None
        Local files to read; None to download.

    Raises
    ------
    UserError
        As for `choose_source`; or if no file matches a pattern.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    expanded = [part for pattern in sources for part in _matching(pattern)]
    if len(expanded) == 1:
        reader, local = choose_source(expanded[0], path)
        return reader, None if local is None else (local,)
    choices = [choose_source(Path(part), path) for part in expanded]
    readers = {reader.name: reader for reader, _ in choices}
    if len(readers) != 1:
        raise UserError("give one source, or several files of the same kind and columns")
    return next(iter(readers.values())), tuple(local for _, local in choices if local is not None)


def _matching(source: str | Path) -> list[str | Path]:
    text = str(source)
    if not glob.has_magic(text) or Path(text).expanduser().exists():
        return [source]
    matches = sorted(glob.glob(str(Path(text).expanduser())))
    if not matches:
        raise UserError(f"no file is called {text!r}: check the pattern")
    return [Path(match) for match in matches]


def choose_source(source: str | Path, path: Path | None) -> tuple[Source, Path | None]:
    """Choose the reader of `source`.

    Parameters
    ----------
    source : str or Path
        Name of a dataset, or the path of local files. A name wins over a file of that name: write
        ``./ml-1m`` for a folder.
    path : Path or None
        Local files of a named dataset, instead of downloading it.

    Returns
    -------
    source : Source
        Reader of the data.
    path : Path or None
        Local files to read; None to download.

    Raises
    ------
    UserError
        If there is neither a dataset nor a file of that name; the message has similar names.
    """
    by_name = {dataset.name: dataset for dataset in NAMED}
    if isinstance(source, str) and source in by_name:
        return by_name[source], path
    if path is not None:
        raise UserError(f"--path goes with the name of a dataset ({', '.join(by_name)}), {str(source)!r} is none")
    local = Path(source).expanduser()
    atomic, table = LOCAL_KINDS
    if local.exists():
        return (atomic if is_atomic(local) else table), local
    hint = did_you_mean(str(source).lower(), by_name, f"the names are {', '.join(by_name)}")
    raise UserError(f"{str(source)!r} is neither a dataset nor an existing file or folder: {hint}")
