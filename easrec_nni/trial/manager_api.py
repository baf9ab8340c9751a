"""REST API of NNI's manager: asking it, how results are written in its answers, and errors of damaged ones."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import Any

__all__ = ["DAMAGE", "PROBE_SECONDS", "ManagerError", "ask", "parse_result"]

REQUEST_SECONDS = 10.0
"""Time limit of a request: a manager that starts trials on a busy machine answers late."""
PROBE_SECONDS = 3.0
"""Time limit of asking whether a manager is there at all."""

DAMAGE = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError)
"""What comes of reading records that hold something else than NNI writes."""

# A manager is asked on its own machine, or through a tunnel from it: never through a proxy of the environment.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ManagerError(OSError):
    """NNI's manager cannot be asked: nothing answers at its address, or something else than NNI."""


def ask(address: str, api: str, seconds: float = REQUEST_SECONDS) -> Any:
    """Answer of a manager's REST API.

    Parameters
    ----------
    address
        ``host:port`` of the manager.
    api
        Path below ``/api/v1/nni/``, such as ``trial-jobs``.
    seconds
        Time limit.

    Raises
    ------
    ManagerError
        There is no answer, or it is no JSON.
    """
    try:
        with _opener.open(f"http://{address}/api/v1/nni/{api}", timeout=seconds) as answer:
            return json.load(answer)
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise ManagerError(f"NNI's manager does not answer at {address}: {error}") from None


def parse_result(text: Any) -> dict[str, Any]:
    """A reported result; NNI keeps it as JSON within JSON, and a bare number stands for ``default``."""
    value: Any = text
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                break
    return value if isinstance(value, dict) else {"default": value}
