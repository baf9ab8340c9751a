"""Requests to a manager, against servers that answer like NNI or like other programs."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from easrec_nni.trial.manager_api import ManagerError, ask, parse_result

ANSWERS = {
    "/api/v1/nni/trial-jobs": b"HTTP/1.0 200 OK\r\n\r\n[{}, {}]",
    "/api/v1/nni/refused": b"HTTP/1.0 500 Internal Server Error\r\n\r\n{}",
    "/api/v1/nni/page": b"HTTP/1.0 200 OK\r\n\r\n<html>",
    "/api/v1/nni/deep": b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 200_000,
    "/api/v1/nni/other": b"220 mail ready\r\n",
    "/api/v1/nni/nothing": b"",
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/api/v1/nni/late":
                ended.wait(10)
            self.wfile.write(ANSWERS.get(self.path, b""))

        def log_message(self, *_: object) -> None:
            pass

    ended = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        ended.set()
        server.shutdown()


def test_an_answer_comes_past_any_proxy(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert ask(address, "trial-jobs") == [{}, {}]


@pytest.mark.parametrize("api", ["refused", "page", "deep", "other", "nothing", "late"])
def test_invalid_answers_are_one_error_that_names_the_address(address: str, api: str) -> None:
    with pytest.raises(ManagerError, match=f"NNI's manager does not answer at {address}"):
        ask(address, api, 0.5 if api == "late" else 10)


def test_an_address_without_a_listener() -> None:
    with pytest.raises(OSError, match="NNI's manager does not answer at 127.0.0.1:1"):
        ask("127.0.0.1:1", "experiment")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(json.dumps({"default": 0.5, "seed": 1})), {"default": 0.5, "seed": 1}),
        (json.dumps({"default": 0.5}), {"default": 0.5}),
        (json.dumps(json.dumps(0.25)), {"default": 0.25}),
        (0.25, {"default": 0.25}),
        ("not JSON", {"default": "not JSON"}),
        ("[" * 200_000, {"default": "[" * 200_000}),
        (json.dumps([1, 2]), {"default": [1, 2]}),
        (None, {"default": None}),
    ],
    ids=["twice", "once", "number", "bare", "words", "deep", "list", "nothing"],
)
def test_results_as_nni_keeps_them(text: Any, expected: dict[str, Any]) -> None:
    assert parse_result(text) == expected
