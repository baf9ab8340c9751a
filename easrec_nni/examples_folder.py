"""Where the example experiments lie, and how they get to a user's folder."""

from __future__ import annotations

from pathlib import Path

from easrec_nni.errors import UserError
from easrec_nni.files import copy_whole

__all__ = ["copy_examples", "examples_folder"]


def examples_folder() -> Path:
    """Folder of the example experiments: inside an installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parent
    return next(folder for folder in (package / "examples", package.parent / "examples") if folder.is_dir())


def copy_examples(target: Path, force: bool = False) -> list[Path]:
    """Copy the example experiments and their settings.

    Parameters
    ----------
    target
        Folder to copy into; it is made if missing.
    force
        Whether files that are already there may be replaced.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    UserError
        A file is already there. Nothing is written then.
    """
    source = examples_folder()
    names = sorted(file.relative_to(source) for file in source.rglob("*.yml"))
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file; give the name of a folder")
    present = [str(name) for name in names if (target / name).exists()]
    if present and not force:
        raise UserError(f"{target} already has {', '.join(present)}; give another folder, or --force to replace them")
    for name in names:
        copy_whole(source / name, target / name)
    return [target / name for name in names]
