"""The search stage: from interactions and settings to an architecture and its supernet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from easrec_nni.architecture.cost import architecture_cost, cost_table
from easrec_nni.architecture.document import Architecture, DatasetReference, is_decided
from easrec_nni.architecture.weights import LOGITS, read_weights, save_weights
from easrec_nni.common.errors import UserError
from easrec_nni.common.provenance import package_versions
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.evaluation.selection import MONITOR
from easrec_nni.searching.by_trials import search_by_trials
from easrec_nni.searching.nni_engine import run_strategy
from easrec_nni.searching.option_losses import OptionLosses
from easrec_nni.searching.record import Decision, SearchRecord
from easrec_nni.searching.schedule import architecture_learning_rate
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.callbacks import EpochOrder, SavePoint
from easrec_nni.training.divergence import EndIfDiverged
from easrec_nni.training.history import read_history
from easrec_nni.training.micro_batch_size import MicroBatchSize
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.parallel import Job, average, processes_of, seed_apart, side_by_side
from easrec_nni.training.protocol import (
    architecture_batches,
    item_loss,
    request_of,
    selection_batches,
    training_batches,
)
from easrec_nni.training.recorded import recorded_training
from easrec_nni.training.run_folder import RunFolder
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import EASRecSpace, SpaceConfig, candidate_label
from strategies import MULTI_TRIAL_STRATEGIES, STRATEGIES, DifferentiableStrategy, Selection, TemperatureSchedule

__all__ = ["SearchResult", "search", "take_part_in_search"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes
    ----------
    architecture
        The argmax architecture of the last alpha and beta (Eq. 18; ``search.export``), or the best candidate.
    supernet
        File with weights, alpha and beta of the best epoch among those that had this architecture; after a search by
        trials (:mod:`easrec_nni.searching.by_trials`), with the weights of the best candidate's own network, which a
        retraining can inherit alike.
    history
        A row for each epoch, or for each candidate that was trained.
    """

    architecture: Architecture
    supernet: Path
    history: list[dict[str, float]]


def search(
    data: Dataset | str | Path,
    settings: TrialSettings,
    out: str | Path,
    *,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    restart: bool = False,
) -> SearchResult:
    """Search an architecture; a run that was killed goes on where its last epoch or candidate ended.

    Parameters
    ----------
    data
        A dataset, or what :func:`~easrec_nni.data.load_dataset` takes.
    settings
        Space and search; the retraining's part is not used.
    out
        Folder for ``architecture.json``, ``supernet.safetensors``, ``history.csv`` and the run's state.
    progress
        Whether to draw a progress bar.
    on_epoch
        Told every epoch's row.
    restart
        Begin anew in a folder that holds another run.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from easrec_nni import TrialSettings, load_dataset, search
    >>> from easrec_nni.data import prepare
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> rows = [f"{user},{(user + t) % 9},{t}" for user in range(8) for t in range(6)]
    >>> _ = (folder / "log.csv").write_text("user,item,time" + chr(10) + chr(10).join(rows))
    >>> dataset = prepare(folder / "log.csv", out=folder / "prepared")
    >>> space = {"max_length": 4, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}
    >>> settings = TrialSettings(data="log", space=space, search={"epochs": 1})
    >>> result = search(dataset, settings, folder / "searched")
    >>> result.architecture.choices.depth in (1, 2)
    True
    """
    dataset = data if isinstance(data, Dataset) else load_dataset(data)
    dataset.check_trainable()
    config = settings.space_for(dataset)
    if config.is_fixed:
        raise UserError(
            "the space has one architecture: give it several pruning ratios or depths, or retrain it directly"
        )
    by_trials = settings.search.strategy in MULTI_TRIAL_STRATEGIES
    if by_trials and settings.devices > 1:
        raise UserError(
            f"settings, devices: {settings.search.strategy} searches by trials, which train one small network after "
            f"another and are not divided among {settings.devices} devices: set devices: 1"
        )
    folder = RunFolder(out, _request(dataset, settings, config), restart)
    architecture_file, supernet_file = folder.path / "architecture.json", folder.path / "supernet.safetensors"
    if not architecture_file.is_file():
        run = search_by_trials if by_trials else _search_one_shot
        with side_by_side(settings.devices, _job(dataset, settings, folder), "easrec_nni.searching.worker"):
            decision = run(dataset, settings, config, folder, progress, on_epoch)
        architecture = _architecture(dataset, settings, config, decision)
        if not is_decided(architecture.entropies):
            _logger.warning(
                "undecided: %s at the end of the search, in nats; another seed may choose another network. More "
                "search.epochs or search.arch_movement let it decide",
                ", ".join(f"entropy of {label} {entropy:.2f}" for label, entropy in architecture.entropies.items()),
            )
        save_weights(read_weights(decision.weights), supernet_file)
        architecture.write(architecture_file)  # last: its presence says that the search is complete
    else:
        _logger.info("%s is complete: taken as it is", folder.path)
    history = read_history(folder.state / "history.csv")
    return SearchResult(Architecture.read(architecture_file), supernet_file, history)


def take_part_in_search(data: str | Path, settings: TrialSettings, out: str | Path) -> None:
    """A process' share of a search that :func:`search` leads in another one: the training alone, nothing is written."""
    dataset = load_dataset(data)
    config = settings.space_for(dataset)
    folder = RunFolder(out, _request(dataset, settings, config))
    _search_one_shot(dataset, settings, config, folder, progress=False, on_epoch=None)


def _request(dataset: Dataset, settings: TrialSettings, config: SpaceConfig) -> dict[str, Any]:
    return {
        "dataset": dataset.fingerprint,
        # Without defaults: a run stays the same one when a later version knows more settings.
        "space": config.model_dump(mode="json", exclude_defaults=True),
        "search": settings.search.model_dump(mode="json", exclude_defaults=True),
        **request_of(settings),
    }


def _job(dataset: Dataset, settings: TrialSettings, folder: RunFolder) -> Job:
    return {
        "data": str(dataset.path.resolve()),
        "settings": settings.model_dump(mode="json", by_alias=True),
        "out": str(folder.path.resolve()),
        "architecture": None,
        "weights": None,
    }


def make_strategy(config: SpaceConfig, settings: TrialSettings, iterations: int) -> DifferentiableStrategy:
    """The differentiable strategy that settings describe.

    Parameters
    ----------
    config
        The space.
    settings
        Of the search.
    iterations
        Training batches of an epoch.

    Raises
    ------
    UserError
        There is no strategy of that name.
    """
    chosen = settings.search
    if chosen.strategy not in STRATEGIES:
        raise UserError(
            f"settings, search.strategy: {chosen.strategy!r} is unknown; choose from "
            + ", ".join([*STRATEGIES, *MULTI_TRIAL_STRATEGIES])
        )
    # What only EASRec has: the dynamic constraint, and noise that can be switched off.
    own = {"dynamic": chosen.dynamic, "noise": chosen.noise} if chosen.strategy == "easrec" else {}
    return STRATEGIES[chosen.strategy](
        cost_table(config, chosen.constraint),
        lambda_=chosen.lambda_,
        arch_learning_rate=architecture_learning_rate(chosen, iterations),
        arch_every=chosen.arch_every,
        temperature=TemperatureSchedule(**chosen.temperature.model_dump()),
        warmup_epochs=chosen.warmup,
        processes=processes_of(),
        **own,
    )


def _search_one_shot(
    dataset: Dataset,
    settings: TrialSettings,
    config: SpaceConfig,
    folder: RunFolder,
    progress: bool,
    on_epoch: Callable[[dict[str, float]], None] | None,
) -> Decision:
    """Train a supernet with a differentiable strategy."""
    seed_everything(settings.seed)
    space = EASRecSpace(config)
    chosen, length = settings.search, config.max_length
    train_batches = training_batches(dataset, settings, length, chosen.batch_size)
    strategy = make_strategy(config, settings, len(train_batches))
    option_losses = OptionLosses(dataset, settings, length)
    record = SearchRecord(
        folder.state,
        MONITOR,
        chosen.patience,
        weights=lambda: {**space.weights(), **_logits(_selection(strategy))},
        extra=lambda: _describe(strategy, config, option_losses(space, _selection(strategy))),
        on_epoch=on_epoch,
        strongest=lambda: config.choice(_selection(strategy).sample()),
        warmup_epochs=chosen.warmup,
        is_decided=lambda: is_decided(_selection(strategy).entropies()),
    )
    rates = {"search.learning_rate": chosen.learning_rate, "alpha and beta": strategy.arch_learning_rate}
    callbacks = [EndIfDiverged(rates), EpochOrder(), record, SavePoint(folder.state)]
    seed_apart(settings.seed)
    run_strategy(
        strategy,
        space,
        SequenceModule(
            dataset,
            chosen.learning_rate,
            loss=item_loss(dataset, settings),
            micro_batch=MicroBatchSize(settings.micro_batch),
        ),
        make_trainer(chosen.epochs, callbacks, progress, settings.precision),
        train_batches=train_batches,
        validation_batches={
            "architecture": architecture_batches(dataset, settings, length),
            "selection": selection_batches(dataset, settings, length),
        },
        checkpoint=folder.checkpoint,
    )
    return record.decision(chosen.export, _selection(strategy).probabilities())


def _selection(strategy: DifferentiableStrategy) -> Selection:
    assert strategy.selection is not None  # made with the space, before the first epoch
    return strategy.selection


def _logits(selection: Selection) -> dict[str, Tensor]:
    return {f"{LOGITS}{label}": logits for label, logits in selection.logits.items()}


def _describe(
    strategy: DifferentiableStrategy, config: SpaceConfig, option_losses: dict[str, list[float]]
) -> dict[str, float]:
    """Columns of an epoch's row that tell where the search stands."""
    selection, module = _selection(strategy), strategy.oneshot_module
    probabilities = selection.probabilities()
    choice = config.choice(selection.sample())
    constraint, losses = module.constraint, module.epoch_losses()
    return {
        "warmup": float(module.is_warming_up),
        "hidden_pruning": choice.hidden_pruning,
        "inner_pruning": choice.inner_pruning,
        "depth": choice.depth,
        "expected_cost": float(constraint.expected(probabilities)),
        "argmax_cost": architecture_cost(config, choice).madds_per_user
        / architecture_cost(config, config.largest).madds_per_user,
        "temperature": selection.temperature,
        **{f"entropy_{label}": entropy for label, entropy in selection.entropies().items()},
        **{name: float(average(torch.tensor(value))) for name, value in losses.items()},
        **_by_option(strategy, config, option_losses),
    }


def _by_option(
    strategy: DifferentiableStrategy, config: SpaceConfig, losses: dict[str, list[float]]
) -> dict[str, float]:
    """Columns for every candidate and depth: probability, cross entropy, and what the constraint charges, in nats."""
    probabilities, pull = _selection(strategy).probabilities(), strategy.oneshot_module.pull()
    columns: dict[str, float] = {}
    for symbol, label in (("alpha", "pruning"), ("beta", "depth")):
        if label in probabilities:
            options = [f"{symbol}_{option}" for option in _options(config)[label]]
            columns |= dict(zip(options, probabilities[label].tolist(), strict=True))
            columns |= dict(zip((f"cross_entropy_{option}" for option in options), losses[label], strict=True))
            columns |= dict(zip((f"constraint_{option}" for option in options), pull[label], strict=True))
    return columns


def _options(config: SpaceConfig) -> dict[str, list[str]]:
    """Names of what there is to choose, in the order of alpha and beta."""
    return {
        "pruning": [candidate_label(*candidate) for candidate in config.candidates],
        "depth": [str(depth) for depth in config.depths],
    }


def _architecture(dataset: Dataset, settings: TrialSettings, config: SpaceConfig, decision: Decision) -> Architecture:
    choice, options = config.choice(decision.choice), _options(config)
    probabilities = {
        label: dict(zip(options[label], values, strict=True)) for label, values in decision.probabilities.items()
    }
    return Architecture(
        choices=choice,
        space=config,
        dataset=DatasetReference.of(dataset),
        training=recorded_training(settings),
        cost=architecture_cost(config, choice).as_dict(),
        probabilities=probabilities,
        metrics={f"search_valid_{name}": value for name, value in decision.row.items() if "@" in name},
        versions=package_versions(),
        seed=settings.seed,
        **{"lambda": settings.search.lambda_},
    )
