"""``easrec evaluate``: figures of saved weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json


def evaluate_command(
    run: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `easrec retrain` wrote.")],
    data: Annotated[str | None, typer.Option("--data", help="Prepared dataset, by default the run's.")] = None,
    part: Annotated[str, typer.Option(help="valid or test.")] = "test",
    k: Annotated[
        list[str] | None, typer.Option("--k", metavar="K,…", help="Cut-offs of the metrics; can be repeated [10].")
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,…",
            help="full, unseen, pop100, pop100_recbole or uni100; can be repeated [all of these].",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="JSON file to write the figures to.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads, all cores by default.", min=1)] = None,
    compile_first: Annotated[
        bool,
        typer.Option(
            "--compile", help="torch.compile the network: minutes at first, for users by the hundred thousand."
        ),
    ] = False,
) -> None:
    """Evaluate saved weights: the same figures as in the run's metrics.json, at other cut-offs if wanted.

    Everything comes from one pass over the scores. With the full ranking, coverage@K is the share of the catalogue
    that is among some user's first K items, and mean_popularity@K how many training interactions such an item has.

    \b
    Examples:
      easrec evaluate retrained
      easrec evaluate retrained --k 5,10,20
      easrec evaluate retrained --part valid --k 20 --protocol full,uni100 --out figures.json
      easrec evaluate retrained --protocol unseen    # without the items that a user already had
      easrec evaluate retrained --protocol pop100_recbole    # as RecBole ranks, beside published figures
    """  # noqa: D301 (the command line's formatter asks for this character)
    ks = _cut_offs(k or ["10"])
    names = _split(protocol or [])
    begin_training_command(threads)
    for each in names:
        if each not in toolkit.KNOWN_PROTOCOLS:
            raise UserError(f"--protocol {each} is not known; choose from {', '.join(toolkit.KNOWN_PROTOCOLS)}")
    architecture = toolkit.Architecture.read(run / "architecture.json")
    name = data or (architecture.dataset.name if architecture.dataset else None)
    if name is None:
        raise UserError("the run's architecture.json names no dataset: give --data NAME")
    is_refitted = architecture.training is not None and architecture.training.refitted_epochs is not None
    if is_refitted and part == "valid":
        raise UserError(f"{run} was trained on the validation targets (a refit): evaluate it on --part test")
    dataset = toolkit.load_dataset(name)
    toolkit.check_evaluated(architecture, dataset, run)
    network = toolkit.load_network(architecture, run / "weights.safetensors")
    if compile_first:
        toolkit.compile_scoring(network)
    figures, _ = toolkit.evaluate_fully(network, dataset, part, ks, tuple(names) or toolkit.PROTOCOLS)
    if is_refitted:
        figures = {f"{figure}{toolkit.REFITTED}": value for figure, value in figures.items()}
    targets = dataset.split.part(part)
    print(f"{part}, split {dataset.split.name}: {len(targets)} targets of {targets.n_users} users")
    for metric, value in figures.items():
        print(f"{metric}: {value!r}")
    if out is not None:
        about = {"dataset": dataset.name, "split": dataset.split.name, "part": part, "users": targets.n_users}
        write_json(out, {**figures, **about, "targets": len(targets)})


def _split(texts: Sequence[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _cut_offs(texts: Sequence[str]) -> tuple[int, ...]:
    try:
        ks = tuple(int(part) for part in _split(texts))
    except ValueError:
        ks = ()
    if not ks or min(ks) < 1:
        raise UserError(f"--k {','.join(texts)}: write whole numbers from 1, such as --k 5,10,20")
    return ks
