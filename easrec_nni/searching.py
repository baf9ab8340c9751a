"""The search stage: from interactions and settings to an architecture and its supernet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from easrec_nni.architecture import Architecture
from easrec_nni.callbacks import EpochOrder, EpochRecord, SavePoint, read_history, save_weights
from easrec_nni.cost import architecture_cost, cost_table
from easrec_nni.data.dataset import Dataset, load_dataset
from easrec_nni.errors import UserError
from easrec_nni.micro_batch_size import MicroBatchSize
from easrec_nni.multi_trial import search_by_trials
from easrec_nni.networks import LOGITS, read_weights
from easrec_nni.nni_one_shot import run_strategy
from easrec_nni.parallel import Job, average, processes_of, seed_apart, side_by_side
from easrec_nni.protocol import (
    MONITOR,
    architecture_batches,
    item_loss,
    request_of,
    selection_batches,
    training_batches,
)
from easrec_nni.recorded_training import recorded_training
from easrec_nni.settings import TrialSettings
from easrec_nni.training import RunFolder, SequenceModule, make_trainer, seed_everything
from easrec_nni.versions import package_versions
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
        The argmax architecture of the best epoch, or the best candidate.
    supernet
        File with that epoch's weights, alpha and beta; after a search by trials (:mod:`easrec_nni.multi_trial`), with
        the weights of the best candidate's own network, which a retraining can inherit alike.
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
        with side_by_side(settings.devices, _job(dataset, settings, folder)):
            best_row = run(dataset, settings, config, folder, progress, on_epoch)
        best = read_weights(folder.state / "best.safetensors")
        architecture = _architecture(dataset, settings, config, best, best_row)
        save_weights(best, supernet_file)
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
        "stage": "search",
        "data": str(dataset.path.resolve()),
        "settings": settings.model_dump(mode="json", by_alias=True),
        "out": str(folder.path.resolve()),
        "architecture": None,
        "weights": None,
    }


def make_strategy(config: SpaceConfig, settings: TrialSettings) -> DifferentiableStrategy:
    """The differentiable strategy that settings describe.

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
        arch_learning_rate=chosen.arch_learning_rate,
        arch_every=chosen.arch_every,
        temperature=TemperatureSchedule(**chosen.temperature.model_dump()),
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
) -> dict[str, float]:
    """Train a supernet with a differentiable strategy; the best epoch's row."""
    seed_everything(settings.seed)
    space = EASRecSpace(config)
    strategy = make_strategy(config, settings)
    record = EpochRecord(
        folder.state,
        MONITOR,
        settings.search.patience,
        weights=lambda: {**space.weights(), **_logits(strategy.selection)},
        extra=lambda: _describe(strategy, config),
        on_epoch=on_epoch,
    )
    chosen, length = settings.search, config.max_length
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
        make_trainer(chosen.epochs, [EpochOrder(), record, SavePoint(folder.state)], progress, settings.precision),
        train_batches=training_batches(dataset, settings, length, chosen.batch_size),
        validation_batches={
            "architecture": architecture_batches(dataset, settings, length),
            "selection": selection_batches(dataset, settings, length),
        },
        checkpoint=folder.checkpoint,
    )
    return record.best_row


def _logits(selection: Selection | None) -> dict[str, Tensor]:
    assert selection is not None
    return {f"{LOGITS}{label}": logits for label, logits in selection.logits.items()}


def _describe(strategy: DifferentiableStrategy, config: SpaceConfig) -> dict[str, float]:
    """Columns of an epoch's row that tell where the search stands."""
    selection = strategy.selection
    assert selection is not None
    probabilities = selection.probabilities()
    choice = config.choice(selection.sample())
    constraint, losses = strategy.oneshot_module.constraint, strategy.oneshot_module.epoch_losses()
    return {
        "hidden_pruning": choice.hidden_pruning,
        "inner_pruning": choice.inner_pruning,
        "depth": choice.depth,
        "expected_cost": float(constraint.expected(probabilities)),
        "argmax_cost": architecture_cost(config, choice).madds_per_user
        / architecture_cost(config, config.largest).madds_per_user,
        "temperature": selection.temperature,
        **{f"entropy_{label}": float(torch.special.entr(p).sum()) for label, p in probabilities.items()},
        **{name: float(average(torch.tensor(value))) for name, value in losses.items()},
        **_probability_columns(config, probabilities),
    }


def _probability_columns(config: SpaceConfig, probabilities: dict[str, Tensor]) -> dict[str, float]:
    """Alpha of every candidate and beta of every depth, as probabilities."""
    return {
        f"{symbol}_{option}": float(value)
        for symbol, label in (("alpha", "pruning"), ("beta", "depth"))
        if label in probabilities
        for option, value in zip(_options(config)[label], probabilities[label], strict=True)
    }


def _options(config: SpaceConfig) -> dict[str, list[str]]:
    """Names of what there is to choose, in the order of alpha and beta."""
    return {
        "pruning": [candidate_label(*candidate) for candidate in config.candidates],
        "depth": [str(depth) for depth in config.depths],
    }


def _architecture(
    dataset: Dataset, settings: TrialSettings, config: SpaceConfig, best: dict[str, Tensor], row: dict[str, float]
) -> Architecture:
    probabilities = {
        label: dict(zip(names, best[f"{LOGITS}{label}"].double().softmax(-1).tolist(), strict=True))
        for label, names in _options(config).items()
        if f"{LOGITS}{label}" in best  # candidates that were trained by themselves have none
    }
    choice = config.choice(
        {key: row[key] for key in ("hidden_pruning", "inner_pruning")} | {"depth": int(row["depth"])}
    )
    return Architecture(
        choices=choice,
        space=config,
        dataset=dataset_identity(dataset),
        training=recorded_training(settings),
        cost=architecture_cost(config, choice).as_dict(),
        probabilities=probabilities,
        metrics={f"search_valid_{name}": value for name, value in row.items() if "@" in name},
        versions=package_versions(),
        seed=settings.seed,
        **{"lambda": settings.search.lambda_},
    )


def dataset_identity(dataset: Dataset) -> dict[str, Any]:
    """What an architecture says of the data it was searched on."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "n_users": dataset.n_users,
        "n_items": dataset.n_items,
    }
