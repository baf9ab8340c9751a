"""Runs the missing cells of a study as trials of an NNI experiment."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import yaml
from rich.console import Console

from easrec_nni.common.files import write_text
from easrec_nni.common.threads import available_cores
from easrec_nni.experiments.experiment import check_results
from easrec_nni.experiments.manager import running_experiment
from easrec_nni.experiments.watching import watch
from easrec_nni.study.cells import Cell
from easrec_nni.study.folder import Study
from easrec_nni.study.tables import Grid

__all__ = ["experiment_document", "run_grid"]


def experiment_document(study: Study, grid: Grid, jobs: int) -> dict[str, Any]:
    """Configuration of the NNI experiment: GridSearch over system, seed and swept settings."""
    space: dict[str, Any] = {"system": list(grid.systems), "seed": list(grid.seeds)}
    space |= {name: list(values) for name, values in grid.parameters.items()}
    folder = shlex.quote(str(study.path.resolve()))
    return {
        "experimentName": f"easrec-{study.settings.data.rpartition('/')[2]}",
        "searchSpace": {name: {"_type": "choice", "_value": values} for name, values in space.items()},
        "trialCommand": f"python3 -m easrec_nni.study.trial --study {folder}",
        "trialCodeDirectory": ".",
        "trialConcurrency": jobs,
        "maxTrialNumber": len(grid.cells()),
        "tuner": {"name": "GridSearch", "classArgs": {"optimize_mode": "maximize"}},
        "trainingService": {"platform": "local"},
    }


def run_grid(
    study: Study, grid: Grid, *, jobs: int | None, port: int, console: Console, say: Callable[[str], None]
) -> list[Cell]:
    """Run the missing cells of a grid; return those that still have no result.

    Complete systems and seeds are not part of the experiment; the trial of any other complete cell ends immediately.

    Parameters
    ----------
    study
        Study of the cells.
    grid
        Cells to run.
    jobs
        Number of cells that run in parallel, sharing the cores; by default the number of cores.
    port
        Preferred port of NNI's web UI.
    console, say
        Console that shows the trials, and function that prints a line.
    """
    missing = study.missing(grid.cells())
    if not missing:
        return []
    remaining = Grid(
        tuple(name for name in grid.systems if any(cell.system == name for cell in missing)),
        tuple(seed for seed in grid.seeds if any(cell.seed == seed for cell in missing)),
        grid.parameters,
    )
    say(f"running {len(missing)} of {len(grid.cells())} cells")
    concurrency = min(jobs or available_cores(), len(remaining.cells()))
    config = study.path / "nni" / "experiment.yml"
    write_text(config, yaml.safe_dump(experiment_document(study, remaining, concurrency), sort_keys=False))
    with running_experiment(config, port, say=say) as experiment:
        say(f"experiment {experiment.id}, web UI while it runs: {experiment.url}")
        trials = watch(experiment, console, len(remaining.cells()))
    check_results(trials, say, lambda trial: f"{Cell.sampled(trial.parameters).path}")
    return study.missing(grid.cells())
