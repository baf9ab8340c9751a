"""Interrupted training: Ctrl-C and SIGTERM leave Lightning's ``fit`` as they would leave any other code."""

from __future__ import annotations

import signal

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import SIGTERMException

__all__ = ["RaiseInterruption"]

EXIT_TERMINATED = 128 + signal.SIGTERM


class RaiseInterruption(Callback):
    """Callback that raises what interrupts a training, with the signal handlers from before it.

    Lightning ends the process itself: with exit code 1 after Ctrl-C, and after SIGTERM with 0, as if all were done.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C.
    SystemExit
        After SIGTERM, with exit code 143.
    """

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Raise an interruption within Lightning's clean-up, which stops it from ending the process."""
        if isinstance(exception, KeyboardInterrupt | SIGTERMException):
            trainer._signal_connector.teardown()
            raise SystemExit(EXIT_TERMINATED) if isinstance(exception, SIGTERMException) else exception
