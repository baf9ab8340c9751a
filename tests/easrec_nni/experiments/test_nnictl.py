"""Waiting for the right manager on a port."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from nni.experiment import rest

from easrec_nni.experiments import nnictl as nnictl_create
from easrec_nni.experiments.manager import _PORT_TAKEN
from easrec_nni.experiments.nnictl import wait_for_manager

ANSWERS = """
import http.server, sys
class Status(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "INITIALIZED"}')
server = http.server.HTTPServer(("127.0.0.1", 0), Status)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Status(BaseHTTPRequestHandler):
    """HTTP handler that answers like any manager."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "RUNNING"}')


@pytest.fixture
def another() -> Iterator[int]:
    """Port of another experiment's manager, played by this process."""
    with HTTPServer(("127.0.0.1", 0), Status) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_own_manager_is_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", ANSWERS], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        wait_for_manager(int(child.stdout.readline()))
        child.kill()


def test_the_answers_of_another_manager_are_not_taken(another: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rest.get(another, "/check-status")  # NNI alone would be content
    monkeypatch.setattr(nnictl_create, "_children", lambda: [])  # ours found the port taken, and ended
    with pytest.raises(RuntimeError, match="another experiment got it") as caught:
        wait_for_manager(another)
    assert _PORT_TAKEN.search(str(caught.value))  # so that the next port is tried


def test_ours_may_still_be_starting_when_another_answers(another: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nnictl_create, "LONGEST_SECONDS", 1.0)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        with pytest.raises(RuntimeError, match="another experiment got it"):
            wait_for_manager(another)
        child.kill()


def test_a_manager_that_ended_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nnictl_create, "_children", lambda: [])
    with pytest.raises(Exception, match="(?i)connection"):
        wait_for_manager(1)
