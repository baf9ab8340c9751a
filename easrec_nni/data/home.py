"""Folders of prepared datasets and downloads, and the names that datasets may have."""

from __future__ import annotations

import os
import re
from pathlib import Path

from easrec_nni.common.errors import UserError

HOME_VARIABLE = "EASREC_HOME"
"""Environment variable that moves the folder of datasets and downloads."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def easrec_home() -> Path:
    """Folder of everything the toolkit keeps: ``$EASREC_HOME``, or ``~/.cache/easrec``.

    Returns
    -------
    Path
        The folder, which need not exist yet.
    """
    folder = os.environ.get(HOME_VARIABLE)
    return Path(folder).expanduser() if folder else Path.home() / ".cache" / "easrec"


def downloads_folder() -> Path:
    """Folder of downloaded files, which are kept for reuse."""
    return easrec_home() / "downloads"


def dataset_folder(name: str) -> Path:
    """Folder of the prepared dataset called `name`.

    Parameters
    ----------
    name : str
        Name of a dataset; see `check_name`.

    Returns
    -------
    Path
        ``<EASREC_HOME>/datasets/<name>``, which need not exist.

    Raises
    ------
    UserError
        If the name could lead out of the folder of datasets.
    """
    return easrec_home() / "datasets" / check_name(name)


def is_name(text: str) -> bool:
    """Whether `text` can be the name of a dataset (so it is not a path)."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Return `name` if it can name a dataset and a folder on every system.

    Raises
    ------
    UserError
        If it has a separator, begins with a dot, is empty or is longer than 100 characters.
    """
    if not is_name(name):
        raise UserError(
            f"{name!r} cannot be the name of a dataset: use letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit, at most 100 characters"
        )
    return name
