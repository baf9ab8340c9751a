"""Going on with a run that was begun before: one process at a time, and nobody is told less than of an unbroken run.

NNI's manager gives a trial that it resumes the id, and with it the folder (``NNI_OUTPUT_DIR``), that the trial had
before. A trial's state is in its folder, so it finds its own checkpoint there. What has to be seen to is here: the
process of before may still be alive, and epochs may have ended while no manager was there to take their results.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["LOCK_FILE", "alone", "tell_again"]

LOCK_FILE = "lock"
_logger = logging.getLogger(__name__)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder: a trial whose manager was killed may still be at work there, and is waited for.

    The lock is the kernel's (``flock``) and ends with the process that holds it, by whatever death. The file ``lock``
    that stays behind says nothing: there is no stale lock that somebody would have to remove.

    Parameters
    ----------
    folder
        Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _logger.warning("another process works on %s: waiting for it", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def tell_again(on_epoch: Callable[[str, dict[str, float]], None], **folders: Path) -> None:
    """Report the epochs that earlier processes of a run have completed, in their order.

    Who listens leaves out what is known already, as :func:`~easrec_nni.nni_trial_io.report_intermediate` does.

    Parameters
    ----------
    on_epoch
        Told the phase and the row of every epoch.
    folders
        Folder of the run of each phase (``search``, ``retrain``), first one first; it need not be there.

    Raises
    ------
    UserError
        A history is damaged.
    """
    from easrec_nni.callbacks import read_history

    for phase, folder in folders.items():
        history = folder / "state" / "history.csv"
        for row in read_history(history) if history.is_file() else []:
            on_epoch(phase, row)
