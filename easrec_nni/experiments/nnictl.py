"""``nnictl`` that waits for a slow manager.

Usage: ``python -m easrec_nni.experiments.nnictl create --config FILE``.

NNI 3.0 polls its manager four times within about four seconds and fails with the last answer: a refused connection, or
the word INITIALIZING where it expects JSON. On a busy machine a manager needs longer. Here it has as long as its
process lives, up to a limit.

Nor does NNI check which manager answers. Of two experiments that start at the same time on the same port, one manager
gets the port and the other ends; NNI would mistake the first manager for the second and send it the second experiment.
"""

from __future__ import annotations

import sys
import time

import psutil
from nni.experiment import launcher, rest

__all__ = ["wait_for_manager"]

LONGEST_SECONDS = 90.0
POLL_SECONDS = 0.5


def wait_for_manager(port: int, retry: int = 0, url_prefix: str | None = None) -> None:
    """Wait until the manager that this process started answers.

    Parameters
    ----------
    port, retry, url_prefix
        Arguments of NNI's function; `retry` is not used.

    Raises
    ------
    RuntimeError
        Another experiment's manager has the port.
    Exception
        The last attempt's error, when the manager has ended or the time limit is reached.
    """
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        lives = _child_lives()
        try:
            rest.get(port, "/check-status", url_prefix)
            if _child_listens(port):
                return
            if not lives or time.monotonic() > deadline:
                raise RuntimeError(f"Port {port} is not idle: another experiment got it at the same moment")
        except Exception:  # any error: a starting manager refuses connections or does not answer in JSON
            if time.monotonic() > deadline or not lives:
                raise
        time.sleep(POLL_SECONDS)


def _children() -> list[psutil.Process]:
    """Living processes that this one started, which can only be the manager."""
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


def _child_lives() -> bool:
    """Whether the manager that this process started is alive."""
    return bool(_children())


def _child_listens(port: int) -> bool:
    """Whether the manager that this process started listens on a port."""
    try:
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for child in _children()
            for connection in child.net_connections("tcp")
        )
    except psutil.Error:  # it ended just now
        return False


def main() -> None:
    """Run ``nnictl`` with the arguments of the command line."""
    launcher._check_rest_server = wait_for_manager
    from nni.tools.nnictl.nnictl import parse_args  # only this program needs it; `easrec nas` does not

    sys.argv[0] = "nnictl"
    parse_args()


if __name__ == "__main__":
    main()
