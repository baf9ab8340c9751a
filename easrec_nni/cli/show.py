"""``easrec show``: an architecture as a picture in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from easrec_nni.common.errors import UserError

if TYPE_CHECKING:
    from easrec_nni.architecture.document import Architecture


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
    from easrec_nni.architecture.cost import architecture_cost  # here: `easrec --help` need not wait for torch

    if trial is not None and smallest:
        raise UserError("--trial and --smallest each name a trial; give one of them")
    architecture = _find(source, trial, smallest)
    space = architecture.space
    if not architecture.cost:  # a file written by hand
        cost = architecture_cost(space, architecture.choices).as_dict()
        architecture = architecture.model_copy(update={"cost": cost})
    Console(highlight=False).print(architecture.draw(architecture_cost(space, space.largest).as_dict()))


def _find(source: str, trial: str | None, smallest: bool) -> Architecture:
    """Architecture of a file or of an experiment's trial, which is named above the picture."""
    from easrec_nni.architecture.document import Architecture
    from easrec_nni.common.readable import printable
    from easrec_nni.experiments.experiment import is_experiment_id
    from easrec_nni.experiments.export import choose_trial, describe_score, trial_architecture, trials_of
    from easrec_nni.experiments.result_files import is_exported

    file = Path(source)
    names_experiment = is_experiment_id(source) and not file.exists()
    if not names_experiment and not (file.is_file() and is_exported(file)):
        if trial is not None or smallest:
            raise UserError(
                f"{source} is no experiment and no file of results: --trial and --smallest mean nothing there"
            )
        return Architecture.read(file)
    chosen = choose_trial(trials_of(source), trial, smallest)
    architecture, _ = trial_architecture(chosen)
    print(printable(f"{source}, trial {chosen.number} ({chosen.id}){describe_score(chosen)}"))
    return architecture
