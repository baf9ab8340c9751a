"""``easrec export``: the architecture of an NNI experiment as a file, or a retrained network as an ONNX file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import printable


def export_command(
    run: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="With --onnx: folder that `easrec retrain` wrote.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(metavar="ID|FILE", help="Experiment, or a file that `nnictl experiment export` wrote.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")] = Path("architecture.json"),
    trial: Annotated[str | None, typer.Option(metavar="ID", help="Trial, by id or by number in the web UI.")] = None,
    best: Annotated[bool, typer.Option("--best", help="The trial with the best final result; the default.")] = False,
    smallest: Annotated[
        bool, typer.Option("--smallest", help="The cheapest trial within one standard error of the best.")
    ] = False,
    weights: Annotated[bool, typer.Option("--weights", help="Also bring supernet.safetensors beside FILE.")] = False,
    onnx: Annotated[
        Path | None, typer.Option("--onnx", metavar="FILE", help="Write FOLDER's network as this ONNX file.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="With --onnx: also FILE with 8-bit weights, and its accuracy as JSON.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", help="With --onnx: prepared dataset, by default the run's.")
    ] = None,
) -> None:
    """Write the architecture of an experiment's trial, running, stopped or finished; or a network as an ONNX file.

    A trial of another machine keeps its files there; its architecture is rebuilt from NNI's records then, and --weights
    fetches the weights with scp, under the user, port and key of the experiment's machine list. It is rebuilt from a
    file of results too: JSON or CSV of `nnictl experiment export`, or the summary that the web UI saves.

    \b
    Examples:
      easrec export --experiment hx3kq8ay --out architecture.json --weights
      easrec export --experiment hx3kq8ay --smallest
      easrec export --experiment hx3kq8ay --trial 2
      easrec export --experiment results.json --best
      easrec export retrained --onnx network.onnx
      easrec export retrained --onnx network.onnx --int8    # and network.int8.onnx, network.int8.json

    The ONNX file (operators of version 20, item numbers [batch, length] to scores [batch, items + 1]) is compared with
    torch before it is written. A JSON list beside it, network.items.json, has the id of each item number. It needs
    pip install 'easrec-nni[onnx]'.
    """  # noqa: D301 (the command line's formatter asks for this character)
    if (onnx is None) != (run is None) or (onnx is None) == (experiment is None):
        raise UserError("give --experiment ID, or a retrained FOLDER and --onnx FILE")
    if onnx is not None and run is not None:
        _write_onnx(run, onnx, int8, data)
        return
    if int8 or data is not None:
        raise UserError("--int8 and --data belong to --onnx FILE")
    assert experiment is not None

    if (trial is not None) + best + smallest > 1:
        raise UserError("--trial, --best and --smallest each name a trial; give one of them")
    exported = toolkit.export_architecture(experiment, out, trial, weights, smallest)
    score, choice = toolkit.describe_score(exported.trial), exported.architecture.choices
    print(
        printable(f"trial {exported.trial.number} ({exported.trial.id}){score}: {choice.label}, depth {choice.depth}")
    )
    for file in filter(None, (exported.file, exported.weights)):
        print(f"wrote {file}")
    if exported.rebuilt:
        place = toolkit.trial_place(exported.trial)
        where = f"in {place}" if place else "on the machine that ran the trial"
        weights_are = f"; the weights, supernet.safetensors, are {where}" if exported.weights is None else ""
        print(printable(f"rebuilt from NNI's records{weights_are}"))


def _write_onnx(run: Path, file: Path, int8: bool, data: str | None) -> None:
    toolkit.need_onnx()
    begin_training_command(None, sys.stderr)  # stdout is for what was written
    network, dataset = toolkit.open_run(run, data, needs_dataset=int8)
    written = toolkit.export_onnx(network, file, dataset)
    print(
        f"wrote {written.file}: opset {written.opset}; on {written.histories} histories its scores differ from torch's "
        f"by {written.difference:.1e} at most"
    )
    if written.items is None:
        print("no dataset is there to tell the ids of its item numbers: --data NAME writes them beside the file")
    else:
        print(f"wrote {written.items}: the id of each of its item numbers, in their order from 0, which is padding")
    if int8 and dataset is not None:
        small = toolkit.quantise_onnx(file, dataset, network.config.max_length)
        sizes = small.figures["bytes"]
        print(f"wrote {small.file}: {sizes['int8'] / sizes['float32']:.0%} of the size")
        for name, value in small.figures["float32"].items():
            print(f"{name}: {value:.4f}, in 8 bits {small.figures['int8'][name]:.4f}")
        print(f"wrote {small.report}")
