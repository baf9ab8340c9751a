"""``easrec nas``: multi-trial search, one NNI trial per architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easrec_nni.cli import toolkit
from easrec_nni.common.errors import UserError
from easrec_nni.settings.assignments import read_assignments


def nas_command(
    settings: Annotated[Path, typer.Argument(metavar="SETTINGS", help="Settings file; `easrec init` writes examples.")],
    strategy: Annotated[str, typer.Option(help="random, evolution or tpe.")] = "evolution",
    trials: Annotated[int, typer.Option(help="Maximum number of architectures.", min=1)] = 20,
    jobs: Annotated[int, typer.Option(help="Concurrent trials; they share the cores.", min=1)] = 1,
    port: Annotated[int, typer.Option(help="Port of the web UI, or the next free one.", min=1, max=65535)] = 8080,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; can be repeated.")
    ] = None,
    expose: Annotated[
        bool,
        typer.Option("--expose", help="Let other machines reach the web UI: it has no password and runs commands."),
    ] = False,
) -> None:
    """Multi-trial search with NNI's NasExperiment: each architecture is trained as a trial.

    It trains one network per trial, where `easrec search` trains a single supernet. The web UI, nnictl, `easrec
    export`, `easrec show` and `easrec report` find the experiment as usual. The experiment ends with its last trial and
    cannot be resumed.

    \b
    Examples:
      easrec nas settings/ml100k.yml
      easrec nas settings/ml100k.yml --strategy tpe --trials 30 --jobs 2
      easrec nas settings/ml100k.yml --set objective.kind=ceiling --set objective.ceiling=3e6
    """  # noqa: D301 (the command line's formatter asks for this character)
    trial_settings = toolkit.TrialSettings.read(settings).with_parameters(read_assignments(set_))
    experiment, finished = toolkit.search_architectures(
        trial_settings,
        strategy,
        trials,
        concurrency=jobs,
        port=port,
        expose=expose,
        folder=settings.parent,
        say=lambda line: print(line, flush=True),
    )
    Console().print(toolkit.trials_table(finished))
    toolkit.check_results(finished, print)
    print(f"export the best: easrec export --experiment {experiment.id} --out architecture.json")
    print(f"report on all:   easrec report {experiment.id}")
    if all(trial.score is None for trial in finished):
        raise UserError(f"no trial ended with a result; see {experiment.folder}")
