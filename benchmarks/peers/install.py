"""Installation of the peers' environments from pinned packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from easrec_nni.common.errors import UserError

__all__ = ["PEERS", "environments_folder", "install", "python_of"]

HERE = Path(__file__).resolve().parent
PEERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "recbole": (("-r", "requirements-recbole.txt"), ("--no-deps", "-r", "requirements-recbole-nodeps.txt")),
    "rectools": (("-r", "requirements-rectools.txt"),),
}
"""Arguments of the pip calls for each peer, in order."""


def environments_folder() -> Path:
    """Folder of the environments: ``$EASREC_PEERS``, or ``.venv-peers`` in the repository."""
    return Path(os.environ.get("EASREC_PEERS") or HERE.parent.parent / ".venv-peers")


def python_of(peer: str) -> Path:
    """Python interpreter of a peer's environment.

    Raises
    ------
    UserError
        The peer is not installed.
    """
    python = environments_folder() / peer / "bin" / "python"
    if not python.is_file():
        raise UserError(f"{peer} is not installed in {environments_folder()}: run 'python -m benchmarks.peers install'")
    return python


def install(peers: tuple[str, ...], torch: str | None = None) -> None:
    """Install peers one after the other; an incomplete environment is completed.

    Parameters
    ----------
    peers
        Names from :data:`PEERS`.
    torch
        Requirement that pip installs first, instead of the pinned torch, such as ``torch==2.13.0+cpu``.

    Raises
    ------
    UserError
        A package cannot be installed.
    """
    for peer in peers:
        folder = environments_folder() / peer
        if not (folder / "bin" / "python").is_file():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        calls = [(torch,), *PEERS[peer]] if torch else PEERS[peer]
        for words in calls:
            command = [str(folder / "bin" / "python"), "-m", "pip", "install", *words]
            if subprocess.run(command, cwd=HERE, check=False).returncode:
                raise UserError(f"pip could not install {peer} ({' '.join(words)}); its messages are above")
