"""``easrec show``: drawing of an architecture in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easrec_nni.cli import toolkit
from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import printable


def show_command(
    source: Annotated[str, typer.Argument(metavar="FILE|ID", help="Architecture file, experiment id or results file.")],
    trial: Annotated[str | None, typer.Option(metavar="ID", help="Trial, by id or by number in the web UI.")] = None,
    smallest: Annotated[
        bool, typer.Option("--smallest", help="The cheapest trial that keeps the unpruned accuracy.")
    ] = False,
    latency: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Latency file of a device (`easrec profile`): predicts the latency there."),
    ] = None,
) -> None:
    """Draw an architecture, with its cost relative to the unpruned network.

    For an experiment, running, stopped or finished, this is the best trial's architecture unless a trial is named.
    A results file is one that `nnictl experiment export` or the web UI wrote.

    \b
    Examples:
      easrec show architecture.json
      easrec show hx3kq8ay
      easrec show hx3kq8ay --trial 2
      easrec show results.csv --smallest
      easrec show architecture.json --latency latency.json
    """  # noqa: D301 (the command line's formatter asks for this character)
    if trial is not None and smallest:
        raise UserError("--trial and --smallest each name a trial; give one of them")
    architecture = _read_architecture(source, trial, smallest)
    space = architecture.space
    if not architecture.cost:  # written by hand
        cost = toolkit.architecture_cost(space, architecture.choices).as_dict()
        architecture = architecture.model_copy(update={"cost": cost})
    # Files written by hand or by earlier versions lack the field; counting needs torch.
    unpruned = architecture.unpruned_cost or toolkit.architecture_cost(space, space.largest).as_dict()
    if latency is not None:
        device = toolkit.LatencyFile.read(latency, space)
        predicted = {"latency_ms_per_user": device.predict(architecture.choices, space)}
        architecture = architecture.model_copy(update={"cost": architecture.cost | predicted})
        unpruned = unpruned | {"latency_ms_per_user": device.predict(space.largest, space)}
    Console(highlight=False).print(architecture.draw(unpruned))


def _read_architecture(source: str, trial: str | None, smallest: bool) -> toolkit.Architecture:
    """Read the architecture of a file or a trial; print which trial it is."""
    file = Path(source)
    names_experiment = toolkit.is_experiment_id(source) and not file.exists()
    if not names_experiment and not (file.is_file() and toolkit.is_exported(file)):
        if trial is not None or smallest:
            raise UserError(
                f"{source} is neither an experiment nor a results file, so --trial and --smallest do not apply"
            )
        return toolkit.Architecture.read(file)
    selected = toolkit.choose_trial(toolkit.trials_of(source), trial, smallest)
    architecture, _ = toolkit.trial_architecture(selected)
    print(printable(f"{source}, trial {selected.number} ({selected.id}){toolkit.describe_score(selected)}"))
    return architecture
