"""Client of the REST API of NNI's manager, and parsing of results in its answers."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import Any

__all__ = ["DAMAGE", "PROBE_SECONDS", "ManagerError", "ask", "parse_result"]

REQUEST_SECONDS = 10.0
"""Time limit of a request: a manager that starts trials on a busy machine answers late."""
PROBE_SECONDS = 3.0
"""Time limit of a request that only checks whether a manager is there."""

DAMAGE = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError)
"""Exceptions from parsing damaged records of NNI."""

# The manager is on this machine or behind a tunnel: never use a proxy of the environment.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ManagerError(OSError):
    """NNI's manager does not answer, or something other than NNI does."""


def ask(address: str, api: str, seconds: float = REQUEST_SECONDS) -> Any:
    """Query a manager's REST API; return the parsed JSON.

    Parameters
    ----------
    address
        ``host:port`` of the manager.
    api
        Path below ``/api/v1/nni/``, such as ``trial-jobs``.
    seconds
        Time limit in seconds.

    Raises
    ------
    ManagerError
        There is no answer, or it is not JSON.
    """
    try:
        with _opener.open(f"http://{address}/api/v1/nni/{api}", timeout=seconds) as answer:
            return json.load(answer)
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise ManagerError(f"NNI's manager does not answer at {address}: {error}") from None


def parse_result(text: Any) -> dict[str, Any]:
    """Parse a reported result: NNI stores JSON within JSON, and a bare number means ``default``."""
    value: Any = text
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                break
    return value if isinstance(value, dict) else {"default": value}
