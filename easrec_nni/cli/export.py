"""``easrec export``: the architecture of an NNI experiment as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.errors import UserError


def export_command(
    experiment: Annotated[str, typer.Option(metavar="ID", help="Experiment, as nnictl and the web UI name it.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")] = Path("architecture.json"),
    trial: Annotated[str | None, typer.Option(metavar="ID", help="Trial, by id or by number in the web UI.")] = None,
    best: Annotated[bool, typer.Option("--best", help="The trial with the best final result; the default.")] = False,
    smallest: Annotated[
        bool, typer.Option("--smallest", help="The cheapest trial within one standard error of the best.")
    ] = False,
    weights: Annotated[bool, typer.Option("--weights", help="Also copy supernet.safetensors beside FILE.")] = False,
) -> None:
    """Write the architecture of an experiment's trial, running or finished.

    \b
    Examples:
      easrec export --experiment hx3kq8ay --out architecture.json --weights
      easrec export --experiment hx3kq8ay --smallest
      easrec export --experiment hx3kq8ay --trial 2
    """  # noqa: D301 (the command line's formatter asks for this character)
    from easrec_nni.export import export_architecture

    if (trial is not None) + best + smallest > 1:
        raise UserError("--trial, --best and --smallest each name a trial; give one of them")
    exported = export_architecture(experiment, out, trial, weights, smallest)
    score = "" if exported.trial.score is None else f", validation NDCG@10 {exported.trial.score:.4f}"
    choice = exported.architecture.choices
    print(f"trial {exported.trial.number} ({exported.trial.id}){score}: {choice.label}, depth {choice.depth}")
    for file in filter(None, (exported.file, exported.weights)):
        print(f"wrote {file}")
