"""Downloads, from a server in this process and from a pip that is not run."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import prepare
from easrec_nni.data.download import DownloadError, fetch, fetch_wheel
from easrec_nni.data.reporting import LogReporter
from easrec_nni.data.sources import gowalla, movielens

BODY = b"some bytes" * 100_000
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    requests: list[str] = []

    def do_GET(self) -> None:  # noqa: N802
        self.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY) + (10 if self.path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    Handler.requests = []
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Counter(LogReporter):
    def __init__(self) -> None:
        self.seen: list[tuple[int, int | None]] = []

    def transferred(self, done: int, total: int | None) -> None:
        self.seen.append((done, total))


@pytest.mark.parametrize("checksum", [MD5, SHA256, None])
def test_fetched_once(url: str, checksum: str | None, tmp_path: Path) -> None:
    counter = Counter()
    path = fetch(f"{url}/file", "kept.bin", checksum, counter)
    assert path == tmp_path / "downloads" / "kept.bin" and path.read_bytes() == BODY
    assert counter.seen[-1] == (len(BODY), len(BODY)) and len(counter.seen) > 1
    assert fetch(f"{url}/file", "kept.bin", checksum, counter) == path
    assert Handler.requests == ["/file"]


@pytest.mark.parametrize(
    ("path", "checksum", "message"),
    [
        ("/missing", None, "Not Found"),
        ("/cut", None, "1000000 of 1000010 bytes|IncompleteRead"),
        ("/file", "md5:0", "does not have the checksum"),
    ],
)
def test_failed_downloads_leave_nothing(
    url: str, path: str, checksum: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match=message):
        fetch(url + path, "kept.bin", checksum, LogReporter())
    assert list((tmp_path / "downloads").iterdir()) == []


def test_damaged_copy_is_fetched_again(url: str, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "kept.bin").write_bytes(b"half")
    assert fetch(f"{url}/file", "kept.bin", MD5, LogReporter()).read_bytes() == BODY


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path))
    monkeypatch.setattr(movielens, "_URL", "http://127.0.0.1:9/{}.zip")
    monkeypatch.setattr(gowalla, "_URL", "http://127.0.0.1:9/x")
    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(UserError, match="cannot download ml-1m .*refused.*pass it with --path"):
        prepare("ml-1m")
    with pytest.raises(UserError, match="cannot download gowalla .*refused.*pass it with --path"):
        prepare("gowalla")
    with pytest.raises(UserError, match="cannot download ml-100k .*refused.*; pip download recbole==1.2.1: no network"):
        prepare("ml-100k")
    assert not (tmp_path / "datasets").exists()


def refuse(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(command, 1, "", "looking\nno network\n")


def test_wheel_is_downloaded_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path))
    commands = []

    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        (Path(command[command.index("-d") + 1]) / "a.whl").write_bytes(BODY)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    for _ in range(2):
        assert fetch_wheel("a==1", "a.whl", SHA256, LogReporter()).read_bytes() == BODY
    assert len(commands) == 1
    assert commands[0][1:5] == ["-m", "pip", "download", "--no-deps"] and "--only-binary=:all:" in commands[0]
    with pytest.raises(DownloadError, match="checksum"):
        fetch_wheel("a==1", "a.whl", "sha256:0", LogReporter())
    with pytest.raises(DownloadError, match="no such wheel"):
        fetch_wheel("b==1", "b.whl", SHA256, LogReporter())
