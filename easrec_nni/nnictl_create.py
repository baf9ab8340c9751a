"""``nnictl`` for starting experiments, with patience: ``python -m easrec_nni.nnictl_create create --config FILE``.

NNI 3.0 asks its manager four times within about four seconds whether it is there, and gives up with whatever the last
answer was: a refused connection, or the word INITIALIZING where it expects JSON. On a machine whose cores are all at
work a manager needs longer. Here it has as long as it lives, up to a limit.
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
    """Return when the manager answers.

    Parameters
    ----------
    port, retry, url_prefix
        As NNI gives them; `retry` is not used.

    Raises
    ------
    Exception
        What the last attempt raised, when the manager has ended or the time is over.
    """
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        try:
            rest.get(port, "/check-status", url_prefix)
            return
        except Exception:  # anything: a manager that starts refuses connections or does not speak JSON
            if time.monotonic() > deadline or not _child_lives():
                raise
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _child_lives() -> bool:
    """Whether a process that this one started, which can only be the manager, has not ended."""
    return any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in psutil.Process().children())


def main() -> None:
    """Run ``nnictl`` with the words of the command line."""
    launcher._check_rest_server = wait_for_manager
    from nni.tools.nnictl.nnictl import parse_args

    sys.argv[0] = "nnictl"
    parse_args()


if __name__ == "__main__":
    main()
