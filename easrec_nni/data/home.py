"""Where prepared datasets and downloads live, and which names datasets may have."""

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
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "easrec"


def downloads_folder() -> Path:
    """Folder in which downloaded files are kept for the next time."""
    return easrec_home() / "downloads"


def dataset_folder(name: str) -> Path:
    """Folder in which the prepared dataset called `name` lies.

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
    """Whether `text` can be the name of a dataset (so it is no path)."""
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
