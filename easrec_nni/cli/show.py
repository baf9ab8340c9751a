"""``easrec show``: an architecture as a picture in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easrec_nni.cli import toolkit
from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import printable


def show_command(
    source: Annotated[
        str, typer.Argument(metavar="FILE|ID", help="Architecture file, experiment, or a file of results.")
    ],
    trial: Annotated[str | None, typer.Option(metavar="ID", help="Trial, by id or by number in the web UI.")] = None,
    smallest: Annotated[
        bool, typer.Option("--smallest", help="The cheapest trial within one standard error of the best.")
    ] = False,
) -> None:
    """Draw a network with its cost beside that of the unpruned network.

    Of an experiment, running, stopped or finished, it is the best trial's unless another one is named. A file of
    results is one that `nnictl experiment export` or the web UI wrote.

    \b
    Examples:
      easrec show architecture.json
      easrec show hx3kq8ay
      easrec show hx3kq8ay --trial 2
      easrec show results.csv --smallest
    """  # noqa: D301 (the command line's formatter asks for this character)
    if trial is not None and smallest:
        raise UserError("--trial and --smallest each name a trial; give one of them")
    architecture = _find(source, trial, smallest)
    space = architecture.space
    if not architecture.cost:  # a file written by hand
        cost = toolkit.architecture_cost(space, architecture.choices).as_dict()
        architecture = architecture.model_copy(update={"cost": cost})
    # Counted with torch for a file without it: written by hand, or by a version before the field.
    unpruned = architecture.unpruned_cost or toolkit.architecture_cost(space, space.largest).as_dict()
    Console(highlight=False).print(architecture.draw(unpruned))


def _find(source: str, trial: str | None, smallest: bool) -> toolkit.Architecture:
    """Architecture of a file or of an experiment's trial, which is named above the picture."""
    file = Path(source)
    names_experiment = toolkit.is_experiment_id(source) and not file.exists()
    if not names_experiment and not (file.is_file() and toolkit.is_exported(file)):
        if trial is not None or smallest:
            raise UserError(
                f"{source} is no experiment and no file of results: --trial and --smallest mean nothing there"
            )
        return toolkit.Architecture.read(file)
    chosen = toolkit.choose_trial(toolkit.trials_of(source), trial, smallest)
    architecture, _ = toolkit.trial_architecture(chosen)
    print(printable(f"{source}, trial {chosen.number} ({chosen.id}){toolkit.describe_score(chosen)}"))
    return architecture
