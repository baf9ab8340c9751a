"""``easrec pick``: one architecture of an elastic supernet, fine-tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.cli.pareto import COST_HELP
from easrec_nni.cli.retrain import show_metrics
from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import readable_count
from easrec_nni.common.run_files import ARCHITECTURE_FILE, SUPERNET_FILE
from easrec_nni.searching.front import EvaluatedArchitecture, Front, find_front, read_front
from easrec_nni.searching.picking import LATENCY, Limit, cost_figure, parse_share, pick, readable_cost, with_latency
from easrec_nni.settings.assignments import read_assignments


def pick_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a search with search.strategy: elastic.")],
    max_cost: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Largest share of the unpruned network's cost, such as 40%.")
    ] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="Largest latency per user, as --latency predicts it.")
    ] = None,
    latency: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Latency file of a device, from `easrec profile`.")
    ] = None,
    max_parameters: Annotated[int | None, typer.Option(metavar="N", help="Largest number of weights.", min=1)] = None,
    keep_accuracy: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Cheapest network with this share of the unpruned one's accuracy."),
    ] = None,
    cost: Annotated[str | None, typer.Option(metavar="KIND", help=COST_HELP)] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the architecture and its network.")] = Path("picked"),
    train: Annotated[
        bool, typer.Option("--train/--no-train", help="Fine-tune the network from the supernet's weights.")
    ] = True,
    data: Annotated[str | None, typer.Option("--data", help="Prepared dataset; the search's by default.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting of the fine-tuning; can be repeated."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads; all cores by default.", min=1)] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start over if --out holds a run.")] = False,
) -> None:
    """Take one architecture of an elastic supernet by its cost or accuracy, and fine-tune only that one.

    With limits, the most accurate architecture within all of them is taken; with --keep-accuracy, the cheapest one that
    is accurate enough. Accuracy is that of inherited weights (`easrec pareto`). Training settings are those of the
    search's file; --set replaces them key by key.

    \b
    Examples:
      easrec pick run --max-cost 40%
      easrec pick run --keep-accuracy 98% --out small
      easrec pick run --max-latency-ms 1.5 --latency laptop.json
      easrec pick run --max-parameters 500000 --no-train
      easrec pick run --max-cost 25% --cost nominal --set retrain.epochs=10
    """  # noqa: D301 (the command line's formatter asks for this character)
    if max_cost is None and max_latency_ms is None and max_parameters is None and keep_accuracy is None:
        raise UserError("give --max-cost, --max-latency-ms, --max-parameters or --keep-accuracy")
    if max_latency_ms is not None and latency is None:
        raise UserError("--max-latency-ms needs the latencies of a device: --latency FILE, from `easrec profile`")
    folder = find_front(run)
    front, searched = read_front(folder), toolkit.Architecture.read(folder / ARCHITECTURE_FILE)
    if latency is not None:
        front = with_latency(front, toolkit.LatencyFile.read(latency, searched.space), searched.space)
    key = cost_figure(front, cost)
    limits = []
    if max_latency_ms is not None:
        limits.append(Limit(LATENCY, max_latency_ms))
    if max_cost is not None:
        limits.append(Limit(key, parse_share(max_cost, "--max-cost") * front.unpruned().cost[key]))
    if max_parameters is not None:
        limits.append(Limit(cost_figure(front, "parameters"), max_parameters))
    keep = None if keep_accuracy is None else parse_share(keep_accuracy, "--keep-accuracy")
    row = pick(front, limits, keep, key)
    _show(front, row, key)
    _check_out(out, folder, train)
    architecture = _architecture(searched, row)
    if not train:
        architecture.write(out / ARCHITECTURE_FILE)
        print(f"architecture.json is in {out}; its weights are part of {folder / 'supernet.safetensors'}")
        return
    name = data or (architecture.dataset.name if architecture.dataset else None)
    if name is None:
        raise UserError(f"{folder / 'architecture.json'} names no dataset: give --data NAME")
    progress = begin_training_command(threads)
    overrides: dict[str, Any] = read_assignments(set_)
    settings = toolkit.with_recorded(architecture, toolkit.TrialSettings(data=name)).with_parameters(overrides)
    result = toolkit.retrain(
        architecture,
        name,
        out,
        weights=folder / SUPERNET_FILE,
        settings=settings,
        progress=progress,
        restart=restart,
    )
    show_metrics(result.metrics)
    print(f"weights.safetensors, metrics.json, architecture.json and history.csv are in {result.folder}")


def _check_out(out: Path, searched: Path, train: bool) -> None:
    """Refuse to write over the search, or to put another architecture beside a run's weights.

    Raises
    ------
    UserError
        The folder holds such a run.
    """
    if out.resolve() == searched.resolve():
        raise UserError(f"--out {out} is the folder of the search: choose another --out")
    if not train and toolkit.RunFolder(out, {}).note.is_file():
        raise UserError(f"{out} holds a run, whose weights belong to its architecture.json: choose another --out")


def _show(front: Front, row: EvaluatedArchitecture, key: str) -> None:
    cost = row.cost[key]
    print(
        f"picked {row.name}: validation {front.figure} {front.accuracy(row):.4f} with inherited weights, "
        f"{front.share_of_accuracy(row):.1%} of the supernet's largest network; {key} {readable_cost(key, cost)}, "
        f"{cost / front.unpruned().cost[key]:.1%}; parameters {readable_count(row.cost['parameters'])}"
    )


def _architecture(searched: toolkit.Architecture, row: EvaluatedArchitecture) -> toolkit.Architecture:
    """Document of a picked architecture, with the dataset and the settings of the search."""
    metrics = {f"search_valid_{name}": value for name, value in row.metrics.items()}
    return searched.model_copy(update={"choices": row.choice, "cost": dict(row.cost), "metrics": metrics})
