"""The retraining stage: a compact network from an architecture, trained, evaluated and written (Section II-G)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from easrec_nni.architecture.document import Architecture, DatasetReference
from easrec_nni.architecture.features import set_features
from easrec_nni.architecture.run_folder import check_dataset
from easrec_nni.architecture.training_settings import TrainingSettings
from easrec_nni.architecture.weights import load_network, read_weights, save_weights
from easrec_nni.common.files import write_json
from easrec_nni.data.batches.modes import check_mode
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.download import file_digest
from easrec_nni.data.loading import load_dataset
from easrec_nni.data.splits.checks import check_trainable
from easrec_nni.evaluation.final import RANKS_FILE, write_ranks
from easrec_nni.evaluation.selection import validation_rows
from easrec_nni.retraining.metrics import metrics_without_figures, read_metrics, run_metrics, validated_epochs
from easrec_nni.retraining.refit import REFIT_FOLDER, finish_refit, fit_again
from easrec_nni.settings.trial import SearchSettings, TrialSettings
from easrec_nni.training.callbacks import EpochOrder, EpochRecord, SavePoint
from easrec_nni.training.divergence import EndIfDiverged
from easrec_nni.training.micro_batch_size import MicroBatchSize
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.parallel import Job, seed_apart, side_by_side
from easrec_nni.training.protocol import SELECTION, item_loss, request_of, selection_batches, training_batches
from easrec_nni.training.recorded import check_share, describe_training, recorded_training, with_recorded
from easrec_nni.training.run_folder import RunFolder
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import EASRecSpace

__all__ = ["Retrained", "retrain", "retrain_on_all_data", "take_part_in_retraining"]

ALL_DATA_EPOCHS = "all_data_epochs"
"""Key of a request: epochs of a training on all interactions."""


_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retrained:
    """A trained network and its figures.

    Attributes
    ----------
    network
        In evaluation mode.
    metrics
        The contents of ``metrics.json``.
    folder
        Where ``weights.safetensors``, ``architecture.json``, ``metrics.json`` and ``history.csv`` are.
    """

    network: EASRecSpace
    metrics: dict[str, Any]
    folder: Path


def retrain(
    architecture: Architecture | str | Path,
    data: Dataset | str | Path,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    settings: TrialSettings | None = None,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    restart: bool = False,
) -> Retrained:
    """Train the network of an architecture, stop early, evaluate on validation and test set.

    Needs no NNI experiment. A run that was killed goes on where its last epoch ended; a complete one is taken as it is.
    The best epoch is chosen by every validation user, and the network that the training began with competes, as epoch
    −1: where no epoch is better, it comes out unchanged. With ``retrain.refit`` the network is then trained once more
    (:mod:`~easrec_nni.retraining.refit`), in the folder ``refitted``; of a complete run that is all that is done.

    Parameters
    ----------
    architecture
        An architecture or its file, which may be written by hand.
    data
        A dataset, or what :func:`~easrec_nni.data.load_dataset` takes.
    out
        Folder for the results.
    weights
        Supernet to inherit from (Eq. 18), or None to start from fresh weights.
    settings
        Retraining, mode, history, loss, share and seed; the space is the architecture's. A key that is not set
        explicitly is as the architecture records it (its ``training``), else the default; a line in the log says what
        was taken from where.
    progress, on_epoch, restart
        As in :func:`~easrec_nni.searching.stage.search`.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from easrec_nni import Architecture, Choice, SpaceConfig, TrialSettings, prepare, retrain
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> rows = [f"{user},{(user + t) % 9},{t}" for user in range(8) for t in range(6)]
    >>> _ = (folder / "log.csv").write_text("user,item,time" + chr(10) + chr(10).join(rows))
    >>> dataset = prepare(folder / "log.csv", out=folder / "prepared")
    >>> space = SpaceConfig(n_items=9, max_length=4, hidden=8, inner=16, heads=2, layers=2)
    >>> architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1), space=space)
    >>> settings = TrialSettings(data="log", retrain={"epochs": 1})
    >>> trained = retrain(architecture, dataset, folder / "retrained", settings=settings)
    >>> sorted(name for name in trained.metrics["test"] if name.startswith("mrr"))
    ['mrr@10_full', 'mrr@10_pop100', 'mrr@10_pop100_recbole', 'mrr@10_uni100']
    """
    origin = "the architecture" if isinstance(architecture, Architecture) else str(architecture)
    if not isinstance(architecture, Architecture):
        architecture = Architecture.read(architecture)
    dataset = data if isinstance(data, Dataset) else load_dataset(data)
    settings = with_recorded(architecture, settings or TrialSettings(data=dataset.name))
    dataset.check_trainable()
    check_dataset(architecture, dataset)
    check_mode(settings.mode, architecture.space)
    check_share(architecture, settings, dataset)
    network = _network(architecture, dataset, settings, weights)
    folder = _folder(out, architecture, dataset, settings, weights, restart)
    _logger.info("%s", describe_training(architecture, settings, origin))
    if (folder.path / "metrics.json").is_file():
        _logger.info("%s is complete: taken as it is", folder.path)
        network = load_network(architecture, folder.path / "weights.safetensors").eval()
        metrics = read_metrics(folder.path)
    else:
        metrics = _train(network, architecture, dataset, settings, folder, weights, progress, on_epoch)
    if settings.retrain.refit and "test_refitted" not in metrics:
        metrics = {**metrics, **_refit(architecture, dataset, settings, folder, weights, metrics, progress)}
        write_json(folder.path / "metrics.json", metrics)
    return Retrained(network, metrics, folder.path)


def retrain_on_all_data(
    architecture: Architecture | str | Path,
    data: Dataset | str | Path,
    out: str | Path,
    *,
    epochs: int | None = None,
    validated: str | Path | None = None,
    weights: str | Path | None = None,
    settings: TrialSettings | None = None,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    restart: bool = False,
) -> Retrained:
    """Train the network of an architecture on all interactions, targets of validation and test too, to serve it.

    Nothing selects the epoch and nothing is left to test by: there are no figures, and evaluation refuses the network.

    Parameters
    ----------
    architecture, weights, settings, progress, on_epoch, restart
        As in :func:`retrain`.
    data
        A dataset of any split, or what :func:`~easrec_nni.data.load_dataset` takes.
    out
        Folder for ``weights.safetensors``, ``architecture.json``, ``metrics.json`` without figures, ``history.csv``.
    epochs
        Epochs to train; None: those behind the best network of the validated run.
    validated
        Folder of that run; None: the folder that the architecture's file is in.

    Raises
    ------
    UserError
        There is no validated run and no number of epochs, or the run began with other weights.
    """
    file = None if isinstance(architecture, Architecture) else Path(architecture)
    if not isinstance(architecture, Architecture):
        architecture = Architecture.read(architecture)
    dataset = data if isinstance(data, Dataset) else load_dataset(data)
    settings = with_recorded(architecture, settings or TrialSettings(data=dataset.name))
    served = dataset.trained_through("test")
    check_trainable(dataset.offsets, served.split, dataset.n_items, f"the dataset {dataset.name}: ")
    check_dataset(architecture, dataset)
    check_mode(settings.mode, architecture.space)
    if epochs is None:
        epochs = validated_epochs(validated or (file.parent if file else None), weights is not None)
    network = _network(architecture, dataset, settings, weights)
    request = {**_request(architecture, dataset, settings, weights), ALL_DATA_EPOCHS: epochs}
    folder = RunFolder(out, request, restart)
    _logger.info("all interactions train, %d epochs; %s", epochs, describe_training(architecture, settings, str(file)))
    if (folder.path / "metrics.json").is_file():
        _logger.info("%s is complete: taken as it is", folder.path)
        network = load_network(architecture, folder.path / "weights.safetensors").eval()
        return Retrained(network, read_metrics(folder.path), folder.path)
    job = _job(architecture, dataset, settings, folder, weights)
    with side_by_side(
        settings.devices,
        {**job, "refit_epochs": epochs, "refit_through": "test"},
        "easrec_nni.retraining.worker",
    ):
        history = fit_again(network, dataset, settings, folder, epochs, progress, on_epoch, "test")
    network.load_state_dict(read_weights(folder.state / "best.safetensors"))
    save_weights(network.state_dict(), folder.path / "weights.safetensors")
    metrics = metrics_without_figures(architecture, served, settings, history, weights is not None)
    known = {name: value for name, value in architecture.metrics.items() if not name.startswith("retrained_")}
    architecture.model_copy(
        update={
            "dataset": DatasetReference.of(served),
            "training": _training(architecture, settings),
            "metrics": known,
            "cost": metrics["cost"],
        }
    ).write(folder.path / "architecture.json")
    (folder.path / "history.csv").write_bytes((folder.state / "history.csv").read_bytes())
    write_json(folder.path / "metrics.json", metrics)  # last: its presence says that the run is complete
    return Retrained(network.eval(), metrics, folder.path)


def _train(
    network: EASRecSpace,
    architecture: Architecture,
    dataset: Dataset,
    settings: TrialSettings,
    folder: RunFolder,
    weights: str | Path | None,
    progress: bool,
    on_epoch: Callable[[dict[str, float]], None] | None,
) -> dict[str, Any]:
    """Train with validation, write the folder's files; the contents of ``metrics.json``."""
    job = _job(architecture, dataset, settings, folder, weights)
    with side_by_side(settings.devices, job, "easrec_nni.retraining.worker"):
        record, micro_batch = _fit(network, dataset, settings, folder, progress, on_epoch)
    network.load_state_dict(read_weights(folder.state / "best.safetensors"))
    save_weights(network.state_dict(), folder.path / "weights.safetensors")
    metrics, ranks = run_metrics(architecture, network.eval(), dataset, settings, record, weights is not None)
    metrics["training"]["micro_batch"] = micro_batch.as_dict()
    metrics["training"]["selected_by"] = folder.request.get("selection", "users that trained no alpha or beta")
    write_ranks(ranks, folder.path / RANKS_FILE)
    known = {f"retrained_{part}_{name}": value for part in ("valid", "test") for name, value in metrics[part].items()}
    identity = architecture.dataset
    if identity is None or identity.split != dataset.split.name:  # what the weights were trained on
        identity = DatasetReference.of(dataset)
    architecture.model_copy(
        update={
            "dataset": identity,
            "training": _training(architecture, settings),
            "metrics": {**architecture.metrics, **known},
            "cost": metrics["cost"],
        }
    ).write(folder.path / "architecture.json")
    (folder.path / "history.csv").write_bytes((folder.state / "history.csv").read_bytes())
    write_json(folder.path / "metrics.json", metrics)  # last: its presence says that the run is complete
    return metrics


def _refit(
    architecture: Architecture,
    dataset: Dataset,
    settings: TrialSettings,
    folder: RunFolder,
    weights: str | Path | None,
    metrics: dict[str, Any],
    progress: bool,
) -> dict[str, Any]:
    """Train once more on training and validation interactions; what ``metrics.json`` holds of it."""
    epochs = metrics["training"]["best_epoch"] + 1
    if epochs == 0:
        _logger.warning("no refit: the network was best before its training, so that there is no epoch to repeat")
        return {}
    network = _network(architecture, dataset, settings, weights)
    request = {**folder.request, "refit_epochs": epochs}
    again = RunFolder(folder.path / REFIT_FOLDER, request)
    job = _job(architecture, dataset, settings, again, weights)
    with side_by_side(settings.devices, {**job, "refit_epochs": epochs}, "easrec_nni.retraining.worker"):
        history = fit_again(network, dataset, settings, again, epochs, progress)
    trained = Architecture.read(folder.path / "architecture.json")  # of the validated run: its dataset and training
    known = {name: value for name, value in trained.metrics.items() if not name.startswith("retrained_")}
    recorded = _training(architecture, settings).model_copy(update={"refitted_epochs": epochs})
    described = trained.model_copy(update={"training": recorded, "metrics": known})
    figures = finish_refit(network, described, dataset, again, history)
    return {"test_refitted": figures["test_refitted"], "refit": figures["training"]}


def take_part_in_retraining(
    architecture: Architecture,
    data: str | Path,
    settings: TrialSettings,
    out: str | Path,
    weights: str | Path | None,
    refit_epochs: int | None = None,
    refit_through: Literal["valid", "test"] = "valid",
) -> None:
    """A process' share of what :func:`retrain` leads in another one: the training alone, nothing is written."""
    dataset = load_dataset(data)
    network = _network(architecture, dataset, settings, weights)
    if refit_epochs is not None:
        name = "refit_epochs" if refit_through == "valid" else ALL_DATA_EPOCHS
        request = {**_request(architecture, dataset, settings, weights), name: refit_epochs}
        folder = RunFolder(out, request, later=["selection"])
        fit_again(network, dataset, settings, folder, refit_epochs, progress=False, through=refit_through)
        return
    folder = _folder(out, architecture, dataset, settings, weights)
    _fit(network, dataset, settings, folder, progress=False, on_epoch=None)


def _job(
    architecture: Architecture, dataset: Dataset, settings: TrialSettings, folder: RunFolder, weights: str | Path | None
) -> Job:
    return {
        "data": str(dataset.path.resolve()),
        "settings": settings.model_dump(mode="json", by_alias=True),
        "out": str(folder.path.resolve()),
        "architecture": architecture.to_json(),
        "weights": None if weights is None else str(Path(weights).resolve()),
    }


def _network(
    architecture: Architecture, dataset: Dataset, settings: TrialSettings, weights: str | Path | None
) -> EASRecSpace:
    """The network as its training begins, the same in all processes."""
    seed_everything(settings.seed)
    network = load_network(architecture, weights)
    set_features(network, dataset)
    return network


def _training(architecture: Architecture, settings: TrialSettings) -> TrainingSettings:
    """What the retrained network's file records; the share stays the one by which alpha and beta were trained."""
    training, before = recorded_training(settings), architecture.training
    if before is None or before.arch_share is None:
        return training
    return training.model_copy(update={"arch_share": before.arch_share})


def _folder(
    out: str | Path,
    architecture: Architecture,
    dataset: Dataset,
    settings: TrialSettings,
    weights: str | Path | None,
    restart: bool = False,
) -> RunFolder:
    """Folder of the run; one that was begun when half of the users selected goes on so."""
    return RunFolder(out, _request(architecture, dataset, settings, weights), restart, later=["selection"])


def _request(
    architecture: Architecture, dataset: Dataset, settings: TrialSettings, weights: str | Path | None
) -> dict[str, Any]:
    share = settings.search.arch_share
    return {
        "dataset": dataset.fingerprint,
        "choices": architecture.choices.model_dump(mode="json"),
        # Without defaults: a run stays the same one when a later version knows more settings.
        "space": architecture.space.model_dump(mode="json", exclude_defaults=True),
        # A refit comes after the run, which is the same with and without it.
        "retrain": settings.retrain.model_dump(mode="json", exclude_defaults=True, exclude={"refit"}),
        **request_of(settings),
        "inherited": file_digest(Path(weights)) if weights is not None else None,
        # The key came later than runs by the default share.
        **({"arch_share": share} if share != SearchSettings().arch_share else {}),
        "selection": SELECTION,
    }


def _fit(
    network: EASRecSpace,
    dataset: Dataset,
    settings: TrialSettings,
    folder: RunFolder,
    progress: bool,
    on_epoch: Callable[[dict[str, float]], None] | None,
) -> tuple[EpochRecord, MicroBatchSize]:
    chosen, length = settings.retrain, network.config.max_length
    record = EpochRecord(
        folder.state, settings.select_by, chosen.patience, weights=network.state_dict, on_epoch=on_epoch
    )
    size = MicroBatchSize(settings.micro_batch)
    every_user = "selection" in folder.request
    _, compared = validation_rows(dataset, settings.search.arch_share)
    module = SequenceModule(
        dataset,
        chosen.learning_rate,
        loss=item_loss(dataset, settings),
        micro_batch=size,
        compared=compared if every_user else None,
        select_by=settings.select_by,
        retraining=chosen,
    )
    module.set_model(network)
    guard = EndIfDiverged({"retrain.learning_rate": chosen.learning_rate})
    trainer = make_trainer(
        chosen.epochs,
        [guard, EpochOrder(), record, SavePoint(folder.state)],
        progress,
        settings.precision,
        judge_first=every_user and folder.checkpoint is None,
    )
    seed_apart(settings.seed)
    trainer.fit(
        module,
        training_batches(dataset, settings, length, chosen.batch_size),
        selection_batches(dataset, settings, length, every_user),
        ckpt_path=folder.checkpoint,
        weights_only=True,
    )
    if trainer.interrupted:
        raise KeyboardInterrupt
    return record, size
