"""Registry of the sources of interactions.

To add a dataset, write one file in this folder with a class that has the members of
`easrec_nni.data.sources.base.Source`, and add one line to `NAMED`.
"""

from __future__ import annotations

from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
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
    SYNTHETIC_GOWALLA,
)
"""Datasets that the user asks for by name."""

LOCAL_KINDS: tuple[Source, ...] = (AtomicSource(), TableSource())
"""Kinds of local files; the second takes every file that is not of the first kind."""

__all__ = ["LOCAL_KINDS", "NAMED", "RawLog", "Source", "choose_source"]


def choose_source(source: str | Path, path: Path | None) -> tuple[Source, Path | None]:
    """Find who reads `source`.

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
        Who reads it.
    path : Path or None
        Local files to read; None to download.

    Raises
    ------
    UserError
        If there is neither a dataset nor a file of that name; the message has similar names.
    """
    by_name = {each.name: each for each in NAMED}
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
