"""Former location of ``open_run``, kept for existing scripts."""

from easrec_nni.architecture.run_folder import open_run

__all__ = ["open_run"]
