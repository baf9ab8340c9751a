"""Former place of ``open_run``, for scripts that import it from here."""

from easrec_nni.architecture.run_folder import open_run

__all__ = ["open_run"]
