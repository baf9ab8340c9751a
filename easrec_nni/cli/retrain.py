"""``easrec retrain``: train an architecture's network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.common.errors import UserError
from easrec_nni.settings.assignments import read_assignments


def retrain_command(
    data: Annotated[str, typer.Option("--data", help="Prepared dataset: its name, or the path of its folder.")],
    arch: Annotated[
        Path | None, typer.Option("--arch", help="architecture.json, from a search or written by hand.")
    ] = None,
    unpruned: Annotated[
        bool,
        typer.Option("--unpruned", help="Instead of --arch: the largest network of the space in --settings."),
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for weights, metrics.json and history.csv.")] = Path(
        "retrained"
    ),
    weights: Annotated[
        Path | None, typer.Option("--weights", help="supernet.safetensors to inherit weights from.")
    ] = None,
    scratch: Annotated[bool, typer.Option("--scratch", help="Start from random weights.")] = False,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="Settings file of a trial; its keys replace the architecture's.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; can be repeated.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Maximum number of epochs.", min=1)] = None,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without improvement before training stops.", min=1)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Sequences per batch.", min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate of Adam.")] = None,
    mode: Annotated[str | None, typer.Option(help="causal, augmented or masked.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and dropout.", min=0)] = None,
    devices: Annotated[int | None, typer.Option(help="GPUs (or CPU processes) that share the work.", min=1)] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bf16.")] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Network to distil from: folder of a retraining, ONNX file, or table of scores."
        ),
    ] = None,
    refit: Annotated[
        bool,
        typer.Option("--refit", help="Then train once more, as long, on training and validation interactions."),
    ] = False,
    all_data: Annotated[
        bool,
        typer.Option("--all-data", help="Train on all interactions, to serve the network: no validation, no figures."),
    ] = False,
    validated: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="With --all-data: run that sets the number of epochs; by default the folder of --arch.",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Run of the unpruned network, to judge whether its accuracy is kept."),
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(help="With --compare: largest loss of NDCG@10 that counts as kept; 2% by default."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads; all cores by default.", min=1)] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start over if --out holds a run.")] = False,
) -> None:
    """Train an architecture's network with early stopping and evaluate it on the test set.

    Mode, history length, loss, rates, batch size and seed are those that the search recorded in the architecture file;
    --settings, --set and options override them key by key, and the first log line shows the result. The initial network
    competes with the epochs: if no epoch is better, its weights are the result.

    With --unpruned the largest network of the settings' space is trained from random weights, without a search. Smaller
    networks are compared with it (--compare) or learn from it (--teacher).

    With --refit, OUT/refitted holds the network to serve: trained on the validation interactions too, for the number of
    epochs that was best without them; its figures end in _refitted. It can be added to a completed run.

    With --all-data every interaction trains, the validation and test targets too, for the best number of epochs of the
    validated run, or exactly --epochs. Such a network is for `easrec recommend`; `easrec evaluate` refuses it.

    --compare judges the network against a run of the unpruned one: "kept", "lost" or "cannot tell" with this many
    users, with the interval of the difference; OUT/judgement.json holds it. It can be added to a completed run.

    With --teacher the network learns from the distributions of another one too, which are computed once:
    --set retrain.distillation=0.5 is their weight. See docs/distillation.md.

    An interrupted run resumes after its last epoch. Needs no NNI experiment.

    \b
    Examples:
      easrec retrain --arch architecture.json --data ml-100k --weights supernet.safetensors
      easrec retrain --arch architecture.json --data ml-100k --scratch --set loss=gbce --set negatives=64
      easrec retrain --unpruned --settings settings/my-log.yml --data shop --out unpruned
      easrec retrain --arch by-hand.json --data ml-100k --scratch --epochs 30 --seed 1 --out run1
      easrec retrain --arch small.json --data ml-100k --scratch --teacher run1 --out small
      easrec retrain --arch run1/architecture.json --data ml-100k --scratch --all-data --out served
      easrec retrain --arch small.json --data ml-100k --scratch --compare unpruned --margin 5%
    """  # noqa: D301 (the command line's formatter asks for this character)
    check_start(arch, unpruned, settings, weights, scratch)
    if all_data and unpruned:
        raise UserError("--unpruned trains a validated network: then give --arch OUT/architecture.json --all-data")
    if all_data and refit:
        raise UserError("--refit trains on validation too, --all-data on everything: give one of them")
    if validated is not None and not all_data:
        raise UserError("--validated belongs to --all-data")
    if compare is not None and all_data:
        raise UserError("--compare needs validation and test figures, which --all-data leaves none for")
    if margin is not None and compare is None:
        raise UserError("--margin belongs to --compare")
    progress = begin_training_command(threads)

    overrides = {
        "retrain.epochs": None if all_data else epochs,  # exact with --all-data, a maximum otherwise
        "retrain.patience": patience,
        "retrain.batch_size": batch_size,
        "retrain.learning_rate": learning_rate,
        "mode": mode,
        "seed": seed,
        "devices": devices,
        "precision": precision,
        "retrain.refit": refit or None,
        "judge.margin": None if margin is None else read_share(margin),
        "retrain.teacher": teacher,
    }
    overrides = {**read_assignments(set_), **{name: value for name, value in overrides.items() if value is not None}}
    architecture, trial_settings = read_settings(arch, settings, data, overrides)
    if compare is not None:
        toolkit.read_metrics(compare)  # a wrong folder shows before the training, not after it
    options: dict[str, Any] = {
        "weights": weights,
        "settings": trial_settings,
        "progress": progress,
        "restart": restart,
    }
    if all_data:
        result = toolkit.retrain_on_all_data(architecture, data, out, epochs=epochs, validated=validated, **options)
        print(f"trained on all interactions of {data}: no figures, as nothing is left to measure the network by")
    else:
        result = toolkit.retrain(architecture, data, out, **options)
        show_metrics(result.metrics)
        if compare is not None:
            dataset = toolkit.load_dataset(data)
            judgement = toolkit.judge_run(result.folder, compare, dataset, trial_settings.judge.margin)
            print(*judgement.lines, sep="\n")
    print(f"weights.safetensors, metrics.json, architecture.json and history.csv are in {result.folder}")


def check_start(arch: Path | None, unpruned: bool, settings: Path | None, weights: Path | None, scratch: bool) -> None:
    """Refuse options that name no network or no initial weights, or two of them."""
    if (arch is None) == (not unpruned):
        raise UserError("give either --arch architecture.json, or --unpruned with --settings FILE")
    if unpruned and settings is None:
        raise UserError("--unpruned trains the largest network of a space: name the file that has it with --settings")
    if unpruned and weights is not None:
        raise UserError("--unpruned starts from random weights: leave out --weights")
    if not unpruned and (weights is None) == (not scratch):
        raise UserError("give either --weights supernet.safetensors, to inherit its weights, or --scratch")


def read_settings(
    arch: Path | None, file: Path | None, data: str, overrides: dict[str, Any]
) -> tuple[Path | toolkit.Architecture, toolkit.TrialSettings]:
    """Architecture, and its training settings, overridden by a file's and then by single keys.

    Without an architecture's file it is the largest one of the space in the settings.
    """
    given = toolkit.TrialSettings.read(file) if file is not None else toolkit.TrialSettings(data=data)
    if arch is None:
        given = given.with_parameters({"data": data, **overrides})
        context = toolkit.TrialContext.open(given, toolkit.load_dataset(data))
        return context.architecture(context.space.largest), given
    return arch, toolkit.with_recorded(toolkit.Architecture.read(arch), given).with_parameters(overrides)


def read_share(text: str) -> float:
    """Share from text such as ``2%`` or ``0.02``.

    Raises
    ------
    UserError
        The text is neither.

    Examples
    --------
    >>> read_share("2%"), read_share("0.05")
    (0.02, 0.05)
    """
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) / 100 if percent else float(number)
    except ValueError:
        value = math.nan
    if rest or not 0 < value < 1:
        raise UserError(f"--margin {text}: write a share such as 2% or 0.02, between 0 and 1")
    return value


def show_metrics(metrics: dict[str, Any]) -> None:
    """Print a run's figures, one line for each part of the data."""
    for part in ("valid", "test", *(["test_refitted"] if "test_refitted" in metrics else [])):
        figures = "  ".join(f"{name} {value:.4f}" for name, value in metrics[part].items())
        print(f"{part:>5}: {figures}")
