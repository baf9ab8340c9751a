"""Example experiments: their location, copying, and pinning to a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_copy, write_text

if TYPE_CHECKING:
    from easrec_nni.data.dataset import Dataset

__all__ = ["copy_examples", "examples_folder", "fingerprint_line", "pin_dataset"]


def examples_folder() -> Path:
    """Folder of the example experiments, in the installed package or at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(folder for folder in (package / "examples", package.parent / "examples") if folder.is_dir())


def copy_examples(target: Path, force: bool = False, dataset: Dataset | None = None) -> list[Path]:
    """Copy the example experiments and their settings.

    Parameters
    ----------
    target
        Folder to copy into, created if missing.
    force
        Whether to replace existing files.
    dataset
        Dataset to pin, by its fingerprint, in the settings that name it.

    Returns
    -------
    list of Path
        Files written.

    Raises
    ------
    UserError
        A file exists already; nothing is written.
    """
    source = examples_folder()
    names = sorted(file.relative_to(source) for file in source.rglob("*.yml"))
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file; give a folder instead")
    present = [str(name) for name in names if (target / name).exists()]
    if present and not force:
        raise UserError(f"{target} already has {', '.join(present)}; give another folder, or --force to replace them")
    for name in names:
        atomic_copy(source / name, target / name)
        if dataset is not None and name.parent.name == "settings":
            pin_dataset(dataset, target / name)
    return [target / name for name in names]


def pin_dataset(dataset: Dataset, settings: Path) -> bool:
    """Pin a dataset in a settings file that names it: trials then refuse any other dataset.

    Parameters
    ----------
    dataset
        Dataset to pin.
    settings
        Path of a trial's settings file.

    Returns
    -------
    bool
        Whether the file names the dataset; if not, the file is unchanged.
    """
    lines = settings.read_text(encoding="utf-8").splitlines()
    numbers = [number for number, line in enumerate(lines) if line.split("#")[0].split() == ["data:", dataset.name]]
    if not numbers:
        return False
    lines.insert(numbers[0] + 1, f"{fingerprint_line(dataset)}    # a trial refuses another dataset")
    write_text(settings, "\n".join(lines) + "\n")
    return True


def fingerprint_line(dataset: Dataset) -> str:
    """Line of a settings file that pins a dataset by its fingerprint."""
    return f"data_fingerprint: {dataset.fingerprint}"
