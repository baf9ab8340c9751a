"""Runs the missing cells of a study as trials of an NNI experiment."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from pathlib import Path
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

__all__ = ["experiment_document", "grid_search", "run_experiment", "run_grid"]


def grid_search(
    name: str, parameters: dict[str, list[Any]], program: str, folder: Path, option: str, jobs: int
) -> dict[str, Any]:
    """Configuration of an NNI experiment: GridSearch over parameters, with a trial for each combination.

    Parameters
    ----------
    name
        Name of the experiment after ``easrec-``.
    parameters
        Values by parameter.
    program
        Module that runs a trial.
    folder, option
        Folder of the results, and the program's option for it.
    jobs
        Number of concurrent trials.
    """
    return {
        "experimentName": f"easrec-{name}",
        "searchSpace": {name: {"_type": "choice", "_value": values} for name, values in parameters.items()},
        "trialCommand": f"python3 -m {program} {option} {shlex.quote(str(folder.resolve()))}",
        "trialCodeDirectory": ".",
        "trialConcurrency": jobs,
        "maxTrialNumber": math.prod(len(values) for values in parameters.values()),
        "tuner": {"name": "GridSearch", "classArgs": {"optimize_mode": "maximize"}},
        "trainingService": {"platform": "local"},
    }


def run_experiment(
    document: dict[str, Any],
    config: Path,
    *,
    port: int,
    console: Console,
    say: Callable[[str], None],
    describe: Callable[[dict[str, Any]], str],
) -> None:
    """Run an experiment until all trials have ended, and say which of them failed.

    Parameters
    ----------
    document
        Configuration of the experiment.
    config
        File to write it to.
    port
        Preferred port of NNI's web UI.
    console, say
        Console that shows the trials, and function that prints a line.
    describe
        Function that names a trial by its parameters.
    """
    write_text(config, yaml.safe_dump(document, sort_keys=False))
    with running_experiment(config, port, say=say) as experiment:
        say(f"experiment {experiment.id}, web UI while it runs: {experiment.url}")
        trials = watch(experiment, console, document["maxTrialNumber"])
    check_results(trials, say, lambda trial: describe(trial.parameters))


def experiment_document(study: Study, grid: Grid, jobs: int) -> dict[str, Any]:
    """Configuration of the NNI experiment: GridSearch over system, seed and swept settings."""
    parameters: dict[str, list[Any]] = {"system": list(grid.systems), "seed": list(grid.seeds)}
    parameters |= {name: list(values) for name, values in grid.parameters.items()}
    name = study.settings.data.rpartition("/")[2]
    return grid_search(name, parameters, "easrec_nni.study.trial", study.path, "--study", jobs)


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
    run_experiment(
        experiment_document(study, remaining, concurrency),
        study.path / "nni" / "experiment.yml",
        port=port,
        console=console,
        say=say,
        describe=lambda parameters: f"{Cell.sampled(parameters).path}",
    )
    return study.missing(grid.cells())
