"""``python -m easrec_nni.retrain``: train the network of an architecture.json, without any NNI experiment."""

from __future__ import annotations

if __name__ != "__main__":
    # Python would put this module in the place of the function of the same name.
    raise ImportError(
        "easrec_nni.retrain is a program: run it, or take the function with `from easrec_nni import retrain`"
    )

from easrec_nni.cli.main import run_command
from easrec_nni.cli.retrain import retrain_command

run_command("python -m easrec_nni.retrain", retrain_command)
