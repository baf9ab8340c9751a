"""A cell as a trial of NNI: ``python -m easrec_nni.study.trial --study FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from easrec_nni.cell import Cell, run_cell
from easrec_nni.nni_trial_io import report_final, tensorboard_dir
from easrec_nni.study.folder import Study, read_settings
from easrec_nni.trial import run_program
from easrec_nni.trial_reports import EpochReports

__all__ = ["final_report", "main"]


def final_report(result: dict[str, Any]) -> dict[str, Any]:
    """What NNI is told of a cell; ``default`` is the validation NDCG@10 over the users that select."""
    return {
        "default": result["valid_selection_users"]["ndcg@10_full"],
        **{f"valid_{name}": value for name, value in result["valid"].items()},
        **{f"test_{name}": value for name, value in result["test"].items()},
        **result["cost"],
        **(result["choices"] or {}),
        "system": result["system"],
        "seed": result["seed"],
        **result["parameters"],
        "search_seconds": result["training"]["search_seconds"],
        "retrain_seconds": result["training"]["retrain_seconds"],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the sampled cell; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 2 or words[0] != "--study":
        print("usage: python -m easrec_nni.study.trial --study FOLDER   (as trialCommand)", file=sys.stderr)
        return 2
    study = Path(words[1])

    def run(parameters: dict[str, Any]) -> dict[str, Any]:
        settings = read_settings(study)
        cell = Cell.sampled(parameters)
        folder = Study(study, settings).cell_folder(cell)
        reports = EpochReports(tensorboard_dir(folder))
        report = final_report(run_cell(cell, settings, folder, on_epoch=reports.epoch))
        reports.close()
        report_final(report)
        return report

    return run_program(run)


if __name__ == "__main__":
    sys.exit(main())
