"""``easrec export``: the architecture of an NNI experiment as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.errors import UserError


def export_command(
    experiment: Annotated[
        str, typer.Option(metavar="ID|FILE", help="Experiment, or a file that `nnictl experiment export` wrote.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")] = Path("architecture.json"),
    trial: Annotated[str | None, typer.Option(metavar="ID", help="Trial, by id or by number in the web UI.")] = None,
    best: Annotated[bool, typer.Option("--best", help="The trial with the best final result; the default.")] = False,
    smallest: Annotated[
        bool, typer.Option("--smallest", help="The cheapest trial within one standard error of the best.")
    ] = False,
    weights: Annotated[bool, typer.Option("--weights", help="Also bring supernet.safetensors beside FILE.")] = False,
) -> None:
    """Write the architecture of an experiment's trial, running, stopped or finished.

    A trial of another machine keeps its files there; its architecture is rebuilt from NNI's records then, and --weights
    fetches the weights with scp, under the user, port and key of the experiment's machine list. It is rebuilt from a
    file of results too: JSON or CSV of `nnictl experiment export`, or the summary that the web UI saves.

    \b
    Examples:
      easrec export --experiment hx3kq8ay --out architecture.json --weights
      easrec export --experiment hx3kq8ay --smallest
      easrec export --experiment hx3kq8ay --trial 2
      easrec export --experiment results.json --best
    """  # noqa: D301 (the command line's formatter asks for this character)
    from easrec_nni.export import describe_score, export_architecture
    from easrec_nni.readable import printable
    from easrec_nni.remote_files import trial_place

    if (trial is not None) + best + smallest > 1:
        raise UserError("--trial, --best and --smallest each name a trial; give one of them")
    exported = export_architecture(experiment, out, trial, weights, smallest)
    score, choice = describe_score(exported.trial), exported.architecture.choices
    print(
        printable(f"trial {exported.trial.number} ({exported.trial.id}){score}: {choice.label}, depth {choice.depth}")
    )
    for file in filter(None, (exported.file, exported.weights)):
        print(f"wrote {file}")
    if exported.rebuilt:
        place = trial_place(exported.trial)
        where = f"in {place}" if place else "on the machine that ran the trial"
        weights_are = f"; the weights, supernet.safetensors, are {where}" if exported.weights is None else ""
        print(printable(f"rebuilt from NNI's records{weights_are}"))
