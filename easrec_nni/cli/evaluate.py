"""``easrec evaluate``: metrics of saved weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from easrec_nni.common.run_files import ARCHITECTURE_FILE, WEIGHTS_FILE


def evaluate_command(
    run: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `easrec retrain` wrote.")],
    data: Annotated[str | None, typer.Option("--data", help="Prepared dataset; the run's by default.")] = None,
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
    out: Annotated[Path | None, typer.Option("--out", help="JSON file for the figures.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads; all cores by default.", min=1)] = None,
    compile_first: Annotated[
        bool,
        typer.Option("--compile", help="torch.compile the network; pays off from some hundred thousand users."),
    ] = False,
) -> None:
    """Evaluate saved weights on the validation or test set, at any cut-offs.

    By default the figures equal those in the run's metrics.json. One pass over the scores yields all of them. With the
    full ranking, coverage@K is the share of the catalogue that is in at least one user's top K, and mean_popularity@K
    the mean number of training interactions of the items in the top K.

    \b
    Examples:
      easrec evaluate retrained
      easrec evaluate retrained --k 5,10,20
      easrec evaluate retrained/refitted    # of the refitted network: figures end in _refitted
      easrec evaluate retrained --part valid --k 20 --protocol full,uni100 --out figures.json
      easrec evaluate retrained --protocol unseen    # leaves out items the user already had
      easrec evaluate retrained --protocol pop100_recbole    # ranks as RecBole does
    """  # noqa: D301 (the command line's formatter asks for this character)
    ks = _cut_offs(k or ["10"])
    names = _split(protocol or [])
    begin_training_command(threads)
    for protocol_name in names:
        if protocol_name not in toolkit.KNOWN_PROTOCOLS:
            raise UserError(f"unknown --protocol {protocol_name}; choose from {', '.join(toolkit.KNOWN_PROTOCOLS)}")
    architecture = toolkit.Architecture.read(toolkit.network_folder(run) / ARCHITECTURE_FILE)
    name = data or (architecture.dataset.name if architecture.dataset else None)
    if name is None:
        raise UserError("the run's architecture.json names no dataset: give --data NAME")
    is_refitted = architecture.training is not None and architecture.training.refitted_epochs is not None
    if is_refitted and part == "valid":
        raise UserError(f"{run} was trained on the validation targets (a refit): evaluate it on --part test")
    dataset = toolkit.load_dataset(name)
    toolkit.check_evaluated(architecture, dataset, run)
    network = toolkit.load_network(architecture, run / WEIGHTS_FILE)
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
