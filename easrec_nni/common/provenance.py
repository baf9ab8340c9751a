"""Provenance of results: command, commit, package versions, time."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["command_line", "commit", "package_versions", "provenance"]

COMMAND_LINE = "easrec_nni.cli.main"
PACKAGES = ("easrec-nni", "torch", "nni", "pytorch-lightning", "numpy", "pandas", "fvcore")


def provenance() -> dict[str, Any]:
    """Provenance for a result document: ``command``, ``commit``, ``versions``, ``written`` (UTC)."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"command": command_line(), "commit": commit(), "versions": package_versions(), "written": now}


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def command_line() -> str:
    """The running command as a user would type it, without this machine's folders in the program name."""
    program, started_as = Path(sys.argv[0]), getattr(sys.modules["__main__"], "__spec__", None)
    if started_as is not None:  # python -m
        module = started_as.name.removesuffix(".__main__")
        words = ["easrec"] if module == COMMAND_LINE else ["python", "-m", module]
    elif program.suffix == ".py":
        words = ["python", program.name if program.is_absolute() else str(program)]
    else:
        words = [program.name]
    return shlex.join([*words, *sys.argv[1:]])


def commit() -> str | None:
    """Commit of the checkout the package runs from, ``+changes`` if edited; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    run = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*run, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*run, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
