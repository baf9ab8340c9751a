"""Build of a table as an NNI experiment, with a trial for each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from easrec_nni.common.threads import available_cores
from easrec_nni.study.running import grid_search, run_experiment
from easrec_nni.tabular.build_folder import Run
from easrec_nni.tabular.building import Build
from easrec_nni.tabular.collecting import collect

__all__ = ["build_experiment", "run_as_experiment"]


def build_experiment(build: Build, runs: Sequence[Run], jobs: int) -> dict[str, Any]:
    """Configuration of an experiment over the candidates, depths and seeds of runs.

    Trials of complete runs, which are part of the grid if others with the same options are missing, end immediately.
    """
    parameters: dict[str, list[Any]] = {
        "seed": sorted({run.seed for run in runs}),
        "depth": sorted({run.choice.depth for run in runs}),
        "pruning": list(dict.fromkeys(run.choice.label for run in runs)),
    }
    name = f"table-{build.dataset.name}"
    return grid_search(name, parameters, "easrec_nni.tabular.trial", build.folder.path, "--build", jobs)


def run_as_experiment(
    build: Build, table: Path, *, jobs: int | None, port: int, console: Console, say: Callable[[str], None]
) -> list[Run]:
    """Train the missing runs of a build as trials, and write the table; return those that are still missing.

    Parameters
    ----------
    build
        The build.
    table
        File of the table.
    jobs
        Number of concurrent runs, sharing the cores; by default the number of cores.
    port
        Preferred port of NNI's web UI.
    console, say
        Console that shows the trials, and function that prints a line.
    """
    missing = build.missing
    if missing:
        concurrency = min(jobs or available_cores(), len(missing))
        run_experiment(
            build_experiment(build, missing, concurrency),
            build.folder.path / "nni" / "experiment.yml",
            port=port,
            console=console,
            say=say,
            describe=lambda parameters: str(Run.sampled(parameters, build.space)),
        )
    missing = build.missing
    if len(missing) < len(build.runs):
        collect(build.folder, table, build.dataset)
    return missing
