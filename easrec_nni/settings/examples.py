"""Where the example experiments lie, and how they get to a user's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_copy, write_text

if TYPE_CHECKING:
    from easrec_nni.data.dataset import Dataset

__all__ = ["ask_for", "copy_examples", "examples_folder", "fingerprint_line"]


def examples_folder() -> Path:
    """Folder of the example experiments: inside an installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(folder for folder in (package / "examples", package.parent / "examples") if folder.is_dir())


def copy_examples(target: Path, force: bool = False, dataset: Dataset | None = None) -> list[Path]:
    """Copy the example experiments and their settings.

    Parameters
    ----------
    target
        Folder to copy into; it is made if missing.
    force
        Whether files that are already there may be replaced.
    dataset
        Dataset whose fingerprint the settings of its name shall ask for.

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
        atomic_copy(source / name, target / name)
        if dataset is not None and name.parent.name == "settings":
            ask_for(dataset, target / name)
    return [target / name for name in names]


def ask_for(dataset: Dataset, settings: Path) -> bool:
    """Write a dataset's fingerprint into a settings file that names it, so that trials refuse another one.

    Parameters
    ----------
    dataset
        The dataset that is meant.
    settings
        Settings of a trial.

    Returns
    -------
    bool
        Whether the file names the dataset; otherwise it stays as it is.
    """
    lines = settings.read_text(encoding="utf-8").splitlines()
    places = [place for place, line in enumerate(lines) if line.split("#")[0].split() == ["data:", dataset.name]]
    if not places:
        return False
    lines.insert(places[0] + 1, f"{fingerprint_line(dataset)}    # a trial refuses another dataset")
    write_text(settings, "\n".join(lines) + "\n")
    return True


def fingerprint_line(dataset: Dataset) -> str:
    """Line of a settings file that asks for this very dataset."""
    return f"data_fingerprint: {dataset.fingerprint}"
