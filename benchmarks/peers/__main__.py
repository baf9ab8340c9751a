"""Command line of the comparisons with peers: ``python -m benchmarks.peers``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import benchmarks.peers
from benchmarks.peers.conversion import convert
from benchmarks.peers.curve import PROTOCOLS, Limits, compare, record_curve
from benchmarks.peers.drawing import curves_plot, read_curve
from benchmarks.peers.epoch import against_recbole, against_rectools, measure_epochs
from benchmarks.peers.inference import OURS, contestants, measure_inference, read_choice
from benchmarks.peers.install import PEERS, environments_folder, install
from benchmarks.peers.systems import RECBOLE_MODELS, SHAPES, VARIANTS, Contestant, Shape, ours, recbole, rectools
from benchmarks.peers.turns import write_result
from easrec_nni.bench.machine import load_average
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write, write_json
from easrec_nni.common.threads import available_threads
from easrec_nni.data import load_dataset
from easrec_nni.data.batches.modes import History
from easrec_nni.data.dataset import Dataset

RESULTS = Path("benchmarks/results/peers")
SYSTEMS = ("recbole", "rectools", "ours")


def parse_options(words: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=benchmarks.peers.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    install_parser = commands.add_parser("install", help="make the peers' environments ($EASREC_PEERS or .venv-peers)")
    install_parser.add_argument("--peer", action="append", choices=sorted(PEERS), help="peer, all by default")
    install_parser.add_argument("--torch", help="requirement that pip installs first, such as torch==2.13.0+cpu")
    for name, text in (
        ("convert", "write the dataset for the peers"),
        ("inference", "time and memory to score all test users"),
        ("epoch", "time of one training epoch"),
        ("time-to-ndcg", "accuracy after every epoch of one system"),
    ):
        _add_common(commands.add_parser(name, help=text))
    for name in ("inference", "epoch"):
        commands.choices[name].add_argument(
            "--allocators",
            nargs="+",
            choices=("default", "keep"),
            default=["default", "keep"],
            help="for ours [both]",
        )
    _add_inference(commands.choices["inference"])
    _add_epoch(commands.choices["epoch"])
    _add_curve(commands.choices["time-to-ndcg"])
    compare_parser = commands.add_parser("compare-curves", help="speed-up of ours to a peer's accuracy")
    compare_parser.add_argument("ours", type=Path, help="curve of ours")
    compare_parser.add_argument("peer", type=Path, help="curve of a peer")
    compare_parser.add_argument("--minutes", type=float, help="target: the peer's best epoch within this time")
    compare_parser.add_argument("--ranking", choices=PROTOCOLS, help="ranking to compare; the peer's file's by default")
    compare_parser.add_argument("--out", type=Path, help="JSON file to write")
    plot_parser = commands.add_parser("plot-curves", help="accuracy over time of several systems")
    plot_parser.add_argument("curves", nargs="+", metavar="NAME=FILE", help="curve, or history.csv of a retraining")
    plot_parser.add_argument("--dataset", default="ml-1m", help="name in the title [ml-1m]")
    plot_parser.add_argument("--ranking", choices=PROTOCOLS, default="full", help="[full]")
    plot_parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    return parser.parse_args(words)


def _named_file(word: str) -> tuple[str, str]:
    name, found, file = word.partition("=")
    if not (name and found and file):
        raise UserError(f"{word!r} must be NAME=FILE, such as 'RecBole SASRec=curve.json'")
    return name, file


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", default="ml-1m", help="prepared dataset, by name or path [ml-1m]")
    parser.add_argument("--threads", type=int, default=available_threads(), help="threads of each process [cores]")
    parser.add_argument("--out", type=Path, help=f"JSON file to write [{RESULTS}/…]")
    for name in ("length", "hidden", "inner", "layers", "heads"):
        parser.add_argument(f"--{name}", type=int, help="shape, the dataset's in SHAPES by default")
    parser.add_argument("--dropout", type=float, help="shape, the dataset's in SHAPES by default")
    parser.add_argument("--variants", nargs="+", choices=sorted(VARIANTS), default=["shipped", "tuned"])


def _add_inference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", nargs="*", choices=RECBOLE_MODELS, default=["SASRec"], help="RecBole's [SASRec]")
    parser.add_argument("--rectools", action="store_true", help="include RecTools' SASRec")
    parser.add_argument("--batch", type=int, default=2048, help="batch size of a peer as shipped, in users [2048]")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--architecture", type=Path, help="searched architecture, or a result with one")
    parser.add_argument(
        "--compiled",
        nargs="+",
        choices=OURS,
        default=[],
        metavar="NAME",
        help=f"our networks to measure compiled, too: {', '.join(OURS)}",
    )


def _add_epoch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--against", choices=("recbole", "rectools"), default="rectools")
    parser.add_argument("--models", nargs="*", choices=RECBOLE_MODELS, default=["SASRec"], help="RecBole's [SASRec]")
    parser.add_argument("--batch", type=int, default=128, help="batch size of a peer, in sequences [128]")
    parser.add_argument("--our-batch", type=int, default=32, help="batch size of ours, in sequences [32]")
    parser.add_argument("--batches", type=int, default=30, help="batches of RecBole's epoch timed per turn [30]")
    parser.add_argument("--limit", type=int, help="maximum number of batches in RecTools' epochs")
    parser.add_argument("--repeats", type=int, default=3)


def _add_curve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--system", choices=SYSTEMS, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--minutes", type=float, help="time limit on the system's own time")
    parser.add_argument("--patience", type=int, help="stop after so many epochs without a better one")
    parser.add_argument("--seed", type=int, default=0, help="[0]")
    parser.add_argument("--batch", type=int, default=128, help="batch size, in sequences [128]")
    parser.add_argument("--attention", default="linrec", help="ours: form of attention [linrec]")
    parser.add_argument("--gate-layers", type=int, default=0, help="ours: dense layers of a gate, 0 = no gates [0]")
    parser.add_argument("--history", choices=get_args(History), default="all", help="ours: training history [all]")
    parser.add_argument("--positions", default="from_end", help="ours: position embeddings [from_end]")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="ours: learning rate [0.001]")
    parser.add_argument("--name", help="ours: name of the curve [ours]")
    parser.add_argument("--restart", action="store_true", help="start over")


def shape_of(options: argparse.Namespace, dataset: Dataset) -> Shape:
    """Shape of the networks: the dataset's, with changes from the command line."""
    shape = SHAPES.get(dataset.name, SHAPES["ml-1m"])
    names = ("length", "hidden", "inner", "layers", "heads", "dropout")
    return replace(shape, **{name: getattr(options, name) for name in names if getattr(options, name) is not None})


def curve_system(options: argparse.Namespace, dataset: Dataset, log: Path, shape: Shape) -> Contestant:
    """System of a curve; a peer runs as the last of the given variants."""
    variant = options.variants[-1]
    if options.system == "recbole":
        return recbole("SASRec", variant, log, shape, options.threads, options.batch)
    if options.system == "rectools":
        return rectools(variant, log, shape, options.threads, options.batch)
    space = shape.of_ours(attention=options.attention, gate_layers=options.gate_layers, positions=options.positions)
    choices = {"hidden_pruning": 0.0, "inner_pruning": 0.0, "depth": shape.layers}
    retrain = {"batch_size": options.batch, "learning_rate": options.learning_rate}
    settings = {"history": options.history, "retrain": retrain}
    allocator = VARIANTS[variant].allocator
    return ours(options.name or "ours", allocator, dataset.path, space, choices, options.threads, settings)


def measure(options: argparse.Namespace) -> None:
    """Run a measurement on a dataset and write its result file."""
    dataset, before = load_dataset(options.dataset), load_average()
    log = environments_folder() / "work" / dataset.name
    convert(dataset, log)
    if options.command == "convert":
        print(f"written to {log}")
        return
    shape = shape_of(options, dataset)
    name, figures = _figures(options, dataset, log, shape)
    figures = {"shape": shape.__dict__, "threads": options.threads, **figures}
    file = options.out or RESULTS / f"{name}-{dataset.name}.json"
    write_result(file, dataset, figures, before)
    print(f"written to {file}")


def _figures(options: argparse.Namespace, dataset: Dataset, log: Path, shape: Shape) -> tuple[str, dict[str, Any]]:
    if options.command == "inference":
        choice = read_choice(options.architecture)
        systems = contestants(options, dataset, log, shape, choice)
        return "inference", {
            "searched": choice.model_dump(),
            **measure_inference(systems, options.batch, options.repeats),
        }
    if options.command == "epoch":
        build = against_recbole if options.against == "recbole" else against_rectools
        systems = build(options, dataset, log, shape)
        return f"epoch-{options.against}", measure_epochs(systems, options.repeats, options.batches)
    system = curve_system(options, dataset, log, shape)
    system = replace(system, order={**system.order, "seed": options.seed})
    name = (options.name or options.system) + (f"-seed{options.seed}" if options.seed else "")
    work = log / f"curve-{name}-{options.variants[-1]}"
    limits = Limits(options.epochs, options.minutes, options.patience)
    curve = record_curve(system, dataset, work, limits, options.restart)
    return f"time-to-ndcg-{name}", {"system": system.name, **curve}


def main(words: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = parse_options(sys.argv[1:] if words is None else words)
    try:
        if options.command == "install":
            install(tuple(options.peer or PEERS), options.torch)
        elif options.command == "compare-curves":
            own, peer = read_curve(options.ours), read_curve(options.peer)
            ranking = options.ranking or peer.get("ranking", "full")
            result = {"ranking": ranking, **compare(own["rows"], peer["rows"], options.minutes, ranking)}
            print(json.dumps(result, indent=2))
            if options.out:
                write_json(options.out, result)
        elif options.command == "plot-curves":
            curves = {name: read_curve(Path(file))["rows"] for name, file in map(_named_file, options.curves)}
            with atomic_write(options.out) as temporary:
                temporary.write_bytes(curves_plot(curves, options.ranking, options.dataset).png)
            print(f"written to {options.out}")
        else:
            measure(options)
    except UserError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
