"""``easrec export``: an experiment's architecture as JSON, or a network as ONNX."""

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
        bool, typer.Option("--smallest", help="The cheapest trial that keeps the unpruned accuracy.")
    ] = False,
    weights: Annotated[bool, typer.Option("--weights", help="Also put supernet.safetensors beside FILE.")] = False,
    onnx: Annotated[
        Path | None, typer.Option("--onnx", metavar="FILE", help="Write FOLDER's network as this ONNX file.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="With --onnx: also FILE with 8-bit weights, and its accuracy as JSON.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", help="With --onnx: prepared dataset; the run's by default.")
    ] = None,
) -> None:
    """Export an experiment's architecture as JSON, or a retrained network as ONNX.

    The experiment may be running, stopped or finished. A trial that ran on another machine keeps its files there: its
    architecture is rebuilt from NNI's records, and --weights fetches the weights with scp, using the user, port and key
    in the experiment's machine list. The architecture can also be rebuilt from a results file: JSON or CSV written by
    `nnictl experiment export`, or the summary that the web UI saves.

    \b
    Examples:
      easrec export --experiment hx3kq8ay --out architecture.json --weights
      easrec export --experiment hx3kq8ay --smallest
      easrec export --experiment hx3kq8ay --trial 2
      easrec export --experiment results.json --best
      easrec export retrained --onnx network.onnx
      easrec export retrained --onnx network.onnx --int8    # and network.int8.onnx, network.int8.json

    --smallest needs trials that were judged against the unpruned network (judge.unpruned: true); without any, it takes
    the cheapest trial within one standard error of the best.

    The ONNX file (opset 20; item numbers [batch, length] in, scores [batch, items + 1] out) is checked against torch
    before it is onnx_file. The JSON list network.items.json beside it has the id of each item number. ONNX export needs
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
    begin_training_command(None, sys.stderr)  # stdout lists the files written
    network, dataset = toolkit.open_run(run, data, needs_dataset=int8)
    onnx_file = toolkit.export_onnx(network, file, dataset)
    print(
        f"wrote {onnx_file.file}: opset {onnx_file.opset}; largest difference from torch's scores on "
        f"{onnx_file.histories} histories: {onnx_file.difference:.1e}"
    )
    if onnx_file.items is None:
        print("item ids not written, as the dataset is unknown: --data NAME writes them beside the file")
    else:
        print(f"wrote {onnx_file.items}: ids in the order of the item numbers, from 0 (padding)")
    if int8 and dataset is not None:
        quantised = toolkit.quantise_onnx(file, dataset, network.config.max_length)
        sizes = quantised.figures["bytes"]
        print(f"wrote {quantised.file}: {sizes['int8'] / sizes['float32']:.0%} of the size")
        for name, value in quantised.figures["float32"].items():
            print(f"{name}: {value:.4f}, with 8 bits {quantised.figures['int8'][name]:.4f}")
        print(f"wrote {quantised.report}")
