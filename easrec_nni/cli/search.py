"""``easrec search``: one trial without NNI's server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.cli.retrain import show_metrics
from easrec_nni.common.run_files import RETRAINED_FOLDER
from easrec_nni.settings.assignments import read_assignments


def search_command(
    settings: Annotated[Path, typer.Argument(metavar="SETTINGS", help="Settings file; `easrec init` writes examples.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("searched"),
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; can be repeated.")
    ] = None,
    devices: Annotated[int | None, typer.Option(help="GPUs (or CPU processes) that share the work.", min=1)] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bf16.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads; all cores by default.", min=1)] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start over if --out holds a run.")] = False,
) -> None:
    """Search for an architecture and retrain it: the trial that NNI runs, without its server.

    An interrupted run resumes after its last epoch.

    \b
    Examples:
      easrec search settings/ml100k.yml --out run
      easrec search settings/ml1m.yml --set lambda=0.3 --set search.epochs=20 --set seed=1
    """  # noqa: D301 (the command line's formatter asks for this character)
    options = {"devices": devices, "precision": precision}
    parameters = read_assignments(set_) | {name: value for name, value in options.items() if value is not None}
    trial_settings = toolkit.TrialSettings.read(settings).with_parameters(parameters)
    progress = begin_training_command(threads)
    result = toolkit.run_trial(trial_settings, out, progress=progress, restart=restart)
    retrained = result.folder / RETRAINED_FOLDER
    show_metrics(toolkit.read_metrics(retrained).as_json())
    if trial_settings.judge.unpruned:
        print(*toolkit.read_judgement(retrained).lines, sep="\n")
    print(f"architecture.json, supernet.safetensors and retrained/ are in {result.folder}")
