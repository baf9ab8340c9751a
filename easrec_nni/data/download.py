"""Downloads, cached and with checksums: over HTTP, or with pip for a package's data."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from easrec_nni.data.home import downloads_folder
from easrec_nni.data.reporting import Reporter

TIMEOUT_SECONDS = 5.0
"""Longest wait for a connection, and for each block after it."""

_BLOCK = 1 << 18
_PIP_TIMEOUT_SECONDS = 300.0


class DownloadError(Exception):
    """Failure to fetch a file, with the reason; sources report it or try elsewhere."""


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Checksum of a file as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def cached(file_name: str, checksum: str | None) -> Path | None:
    """Return a file downloaded earlier, or None where there is none with that checksum.

    Parameters
    ----------
    file_name : str
        Name in the folder of downloads.
    checksum : str or None
        ``"md5:..."`` or ``"sha256:..."``; None trusts the file.
    """
    path = downloads_folder() / file_name
    return path if path.is_file() and _matches(path, checksum) else None


def fetch(url: str, file_name: str, checksum: str | None, reporter: Reporter) -> Path:
    """Download a file into the folder of downloads, unless it is there already.

    Parameters
    ----------
    url : str
        Address of the file.
    file_name : str
        Name in the folder of downloads.
    checksum : str or None
        ``"md5:..."`` or ``"sha256:..."`` that it must have; None if the publisher gives none.
    reporter : Reporter
        Receives the progress.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DownloadError
        If the server cannot be reached or sends something else. Nothing incomplete is left.
    """
    path = cached(file_name, checksum)
    if path is not None:
        return path
    reporter.step(f"downloading {url}")
    with tempfile.TemporaryDirectory(dir=_ensure_folder(downloads_folder())) as folder:
        part = Path(folder) / "part"
        try:
            _receive(url, part, reporter)
        except (urllib.error.URLError, HTTPException, OSError) as error:
            raise DownloadError(f"{url}: {getattr(error, 'reason', error)}") from error
        return _keep(part, file_name, checksum, url)


def fetch_wheel(requirement: str, file_name: str, checksum: str, reporter: Reporter) -> Path:
    """Download a wheel with pip, unless it is there already; nothing of it is run or installed.

    Parameters
    ----------
    requirement : str
        Package and exact version, such as ``"recbole==1.2.1"``.
    file_name : str
        Name of the wheel.
    checksum : str
        ``"sha256:..."`` that it must have.
    reporter : Reporter
        Receives the start of the download.

    Returns
    -------
    Path
        The wheel.

    Raises
    ------
    DownloadError
        If pip is missing or cannot get it, or the wheel has another checksum.
    """
    path = cached(file_name, checksum)
    if path is not None:
        return path
    reporter.step(f"pip download {requirement}")
    with tempfile.TemporaryDirectory(dir=_ensure_folder(downloads_folder())) as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
        command += ["--disable-pip-version-check", requirement, "-d", folder]
        try:
            process = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DownloadError(f"pip download {requirement}: {error}") from error
        wheel = Path(folder) / file_name
        if process.returncode != 0 or not wheel.is_file():
            reason = (process.stderr.strip().splitlines() or ["no such wheel came"])[-1]
            raise DownloadError(f"pip download {requirement}: {reason}")
        return _keep(wheel, file_name, checksum, f"pip download {requirement}")


def _receive(url: str, target: Path, reporter: Reporter) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, target.open("wb") as out:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        received = 0
        while block := response.read(_BLOCK):
            out.write(block)
            received += len(block)
            reporter.transferred(received, total)
    if total is not None and received != total:
        raise DownloadError(f"{url}: {received} of {total} bytes came")


def _keep(part: Path, file_name: str, checksum: str | None, origin: str) -> Path:
    if not _matches(part, checksum):
        raise DownloadError(f"{origin}: what came does not have the checksum {checksum}")
    target = downloads_folder() / file_name
    os.replace(part, target)
    return target


def _matches(path: Path, checksum: str | None) -> bool:
    if checksum is None:
        return True
    algorithm, _, expected = checksum.partition(":")
    return file_digest(path, algorithm) == expected


def _ensure_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
