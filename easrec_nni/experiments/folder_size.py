"""Number and size of the files in a folder and its subfolders."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from easrec_nni.common.readable import readable_bytes

__all__ = ["FolderSize", "measure_folder"]

MOST_COUNTED = 100_000  # files; far above the limits that are checked


@dataclass
class FolderSize:
    """Files and bytes of a folder.

    Attributes
    ----------
    files, bytes
        Number and size of all files; links count as themselves, as in NNI.
    parts
        Files and bytes of each direct subfolder.
    complete
        Whether all files were counted.
    """

    files: int = 0
    bytes: int = 0
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    complete: bool = True

    def __str__(self) -> str:
        return f"{'' if self.complete else 'more than '}{self.files:,} file(s), {readable_bytes(self.bytes)}"

    def largest(self, number: int = 3) -> str:
        """Description of the largest subfolders, by files and bytes."""
        most_files, most_bytes = max(self.files, 1), max(self.bytes, 1)
        ranked = sorted(
            self.parts, key=lambda part: -(self.parts[part][0] / most_files + self.parts[part][1] / most_bytes)
        )
        shown = [f"{name} ({self.parts[name][0]:,} files, {readable_bytes(self.parts[name][1])})" for name in ranked]
        return ", ".join(shown[:number]) or "the folder itself"


def measure_folder(folder: Path) -> FolderSize:
    """Count the files and bytes of a folder, recursively.

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
        for name in [*names, *(link for link in folders if os.path.islink(os.path.join(path, link)))]:
            try:
                length = os.lstat(os.path.join(path, name)).st_size
            except OSError:  # deleted in the meantime
                continue
            size.files, size.bytes = size.files + 1, size.bytes + length
            if part:
                files, total = size.parts.get(part[0], (0, 0))
                size.parts[part[0]] = files + 1, total + length
        if size.files > MOST_COUNTED:
            size.complete = False
            break
    return size
