"""How much lies in a folder, and in which of its parts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from easrec_nni.common.readable import readable_bytes

__all__ = ["FolderSize", "measure_folder"]

MOST_COUNTED = 100_000  # files; who looks for 2,000 need not count a million


@dataclass
class FolderSize:
    """Files and bytes of a folder.

    Attributes
    ----------
    files, bytes
        Of the whole folder; links count as themselves, as NNI counts them.
    parts
        Files and bytes of each folder directly in it.
    complete
        Whether everything was counted.
    """

    files: int = 0
    bytes: int = 0
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    complete: bool = True

    def __str__(self) -> str:
        return f"{'' if self.complete else 'more than '}{self.files:,} file(s), {readable_bytes(self.bytes)}"

    def largest(self, number: int = 3) -> str:
        """The folders with the most files and bytes, by name."""
        most_files, most_bytes = max(self.files, 1), max(self.bytes, 1)
        ranked = sorted(
            self.parts, key=lambda part: -(self.parts[part][0] / most_files + self.parts[part][1] / most_bytes)
        )
        shown = [f"{name} ({self.parts[name][0]:,} files, {readable_bytes(self.parts[name][1])})" for name in ranked]
        return ", ".join(shown[:number]) or "the folder itself"


def measure_folder(folder: Path) -> FolderSize:
    """Count the files and bytes of a folder and of all folders in it.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "data").mkdir()
    >>> _ = (folder / "data" / "log.csv").write_text("u,i,t")
    >>> str(measure_folder(folder)), measure_folder(folder).largest()
    ('1 file(s), 5 B', 'data (1 files, 5 B)')
    """
    size = FolderSize()
    for path, folders, names in os.walk(folder):
        part = Path(path).relative_to(folder).parts[:1]
        for name in [*names, *(each for each in folders if os.path.islink(os.path.join(path, each)))]:
            try:
                length = os.lstat(os.path.join(path, name)).st_size
            except OSError:  # gone meanwhile
                continue
            size.files, size.bytes = size.files + 1, size.bytes + length
            if part:
                files, total = size.parts.get(part[0], (0, 0))
                size.parts[part[0]] = files + 1, total + length
        if size.files > MOST_COUNTED:
            size.complete = False
            break
    return size
