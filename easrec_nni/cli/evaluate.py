"""``easrec evaluate``: figures of saved weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli.logs import begin_training_command


def evaluate_command(
    run: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `easrec retrain` wrote.")],
    data: Annotated[str | None, typer.Option("--data", help="Prepared dataset, by default the run's.")] = None,
    part: Annotated[str, typer.Option(help="valid or test.")] = "test",
    k: Annotated[int, typer.Option("--k", help="Cut-off of the metrics.", min=1)] = 10,
    protocol: Annotated[
        list[str] | None, typer.Option(help="full, unseen, pop100 or uni100; can be repeated [full, pop100].")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="JSON file to write the figures to.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads, all cores by default.", min=1)] = None,
) -> None:
    """Evaluate saved weights: the same figures as in the run's metrics.json.

    \b
    Examples:
      easrec evaluate retrained
      easrec evaluate retrained --part valid --k 20 --protocol full --protocol uni100
    """  # noqa: D301 (the command line's formatter asks for this character)
    begin_training_command(threads)
    from easrec_nni.architecture import Architecture
    from easrec_nni.data import load_dataset
    from easrec_nni.errors import UserError
    from easrec_nni.evaluation import PROTOCOLS, evaluate
    from easrec_nni.networks import load_network
    from easrec_nni.retraining import check_dataset
    from easrec_nni.training import write_json

    architecture = Architecture.read(run / "architecture.json")
    name = data or (architecture.dataset.name if architecture.dataset else None)
    if name is None:
        raise UserError("the run's architecture.json names no dataset: give --data NAME")
    known = ("full", "unseen", "pop100", "uni100")
    for each in protocol or ():
        if each not in known:
            raise UserError(f"--protocol {each} is not known; choose from {', '.join(known)}")
    dataset = load_dataset(name)
    check_dataset(architecture, dataset)
    network = load_network(architecture, run / "weights.safetensors")
    figures = evaluate(network, dataset, part, k=k, protocols=tuple(protocol or PROTOCOLS))
    for metric, value in figures.items():
        print(f"{metric}: {value!r}")
    if out is not None:
        write_json(out, figures)
