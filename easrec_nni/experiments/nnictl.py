"""``nnictl`` for starting experiments, with patience: ``python -m easrec_nni.experiments.nnictl create --config FILE``.

NNI 3.0 asks its manager four times within about four seconds whether it is there, and gives up with whatever the last
answer was: a refused connection, or the word INITIALIZING where it expects JSON. On a machine whose cores are all at
work a manager needs longer. Here it has as long as it lives, up to a limit.

Nor does NNI look who answers. Of two experiments that are started at one moment for one port, one manager gets it and
the other ends; NNI would take the answers of the first for those of the second and send it the second's settings.
"""

from __future__ import annotations

import sys
import time

import psutil
from nni.experiment import launcher, rest

__all__ = ["wait_for_manager"]

LONGEST_SECONDS = 90.0
SECONDS_BETWEEN_LOOKS = 0.5


def wait_for_manager(port: int, retry: int = 0, url_prefix: str | None = None) -> None:
    """Return when the manager answers, and it is the one that this process started.

    Parameters
    ----------
    port, retry, url_prefix
        As NNI gives them; `retry` is not used.

    Raises
    ------
    RuntimeError
        Another experiment's manager has the port.
    Exception
        What the last attempt raised, when the manager has ended or the time is over.
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
        except Exception:  # anything: a manager that starts refuses connections or does not speak JSON
            if time.monotonic() > deadline or not lives:
                raise
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _children() -> list[psutil.Process]:
    """Living processes that this one started, which can only be the manager."""
    return [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]


def _child_lives() -> bool:
    """Whether the manager that this process started has not ended."""
    return bool(_children())


def _child_listens(port: int) -> bool:
    """Whether that manager is who answers on a port."""
    try:
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for child in _children()
            for connection in child.net_connections("tcp")
        )
    except psutil.Error:  # it ended just now
        return False


def main() -> None:
    """Run ``nnictl`` with the words of the command line."""
    launcher._check_rest_server = wait_for_manager
    from nni.tools.nnictl.nnictl import parse_args  # the program alone needs it, `easrec nas` only the function above

    sys.argv[0] = "nnictl"
    parse_args()


if __name__ == "__main__":
    main()
