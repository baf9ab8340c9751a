"""Steps of one retraining: checks, teacher, training, refit, training to serve, and its results."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.document import Architecture, DatasetReference
from easrec_nni.architecture.feature_tables import set_features
from easrec_nni.architecture.run_folder import check_dataset, check_items
from easrec_nni.architecture.training_settings import TrainingSettings
from easrec_nni.architecture.weights import load_network, read_weights, save_weights
from easrec_nni.common.files import atomic_copy, write_json
from easrec_nni.common.run_files import (
    ARCHITECTURE_FILE,
    HISTORY_FILE,
    METRICS_FILE,
    RANKS_FILE,
    REFITTED_FOLDER,
    WEIGHTS_FILE,
)
from easrec_nni.data.batches.modes import check_mode
from easrec_nni.data.download import file_digest
from easrec_nni.data.splits.checks import check_trainable
from easrec_nni.evaluation.rank_files import write_ranks
from easrec_nni.retraining.metrics import (
    RunMetrics,
    RunTraining,
    metrics_without_figures,
    run_metrics,
)
from easrec_nni.retraining.refit import finish_refit, fit_again
from easrec_nni.retraining.teacher.opening import open_teacher
from easrec_nni.retraining.teacher.source import TeacherSource
from easrec_nni.retraining.teacher.store import open_store, remove_store
from easrec_nni.settings.search import SearchSettings
from easrec_nni.training.callbacks import AveragedWeights, EpochOrder, EpochRecord, SavePoint
from easrec_nni.training.context import TrialContext
from easrec_nni.training.divergence import EndIfDiverged
from easrec_nni.training.losses import Distilled, ItemLoss
from easrec_nni.training.micro_batch_size import MicroBatchSize
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.parallel import Job, data_parallel, seed_rank
from easrec_nni.training.protocol import SELECTION
from easrec_nni.training.recorded import recorded_training
from easrec_nni.training.run_folder import RunFolder
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import EASRecNetwork

__all__ = ["WORKER", "Retraining"]

WORKER = "easrec_nni.retraining.worker"
"""Program of the other processes of a retraining."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retraining:
    """A retraining: context, architecture, and the supernet file to inherit from, if any."""

    context: TrialContext
    architecture: Architecture
    weights: str | Path | None

    @cached_property
    def teacher(self) -> TeacherSource | None:
        """Teacher that the settings name."""
        path = self.context.settings.retrain.teacher
        return None if path is None else open_teacher(path)

    @cached_property
    def teacher_of_refit(self) -> TeacherSource | None:
        """Teacher of the training on validation interactions too."""
        return None if self.teacher is None else self.teacher.for_refit()

    def check(self) -> None:
        """Refuse settings that cannot be trained, or whose figures would be wrong."""
        self.context.dataset.check_trainable()
        self._check_architecture()
        check_mode(self.context.settings.mode, self.architecture.space)
        self.context.check_share(self.architecture)
        if self.teacher is not None:
            self.teacher.check(self.context.dataset, served=False)

    def check_served(self) -> None:
        """Refuse settings that cannot be trained on all interactions."""
        dataset = self.context.dataset
        split = dataset.split.trained_through("test")
        check_trainable(dataset.offsets, split, dataset.n_items, f"the dataset {dataset.name}: ")
        self._check_architecture()
        check_mode(self.context.settings.mode, self.architecture.space)
        if self.teacher is not None:
            self.teacher.check(dataset, served=True)

    def _check_architecture(self) -> None:
        """Refuse an architecture, and weights, of another catalogue."""
        check = check_dataset if self.weights is None else check_items
        check(self.architecture, self.context.dataset)

    def network(self) -> EASRecNetwork:
        """Network before the training, the same in all processes."""
        seed_everything(self.context.settings.seed)
        network = load_network(self.architecture, self.weights)
        set_features(network, self.context.dataset)
        return network

    def folder(self, out: str | Path, restart: bool = False) -> RunFolder:
        """Open the run's folder; a run of an earlier version keeps its selection users."""
        return RunFolder.open(out, self._identity(), restart, later=["selection"])

    def served_folder(self, out: str | Path, epochs: int, restart: bool = False) -> RunFolder:
        """Folder of a training on all interactions."""
        return RunFolder.open(out, {**self._identity(), "all_data_epochs": epochs}, restart)

    def _identity(self) -> dict[str, Any]:
        share = self.context.settings.search.arch_share
        return {
            **self.context.identity("retrain"),
            "choices": self.architecture.choices.model_dump(mode="json"),
            "inherited": file_digest(Path(self.weights)) if self.weights is not None else None,
            # Runs of earlier versions have no such key; they used the default share.
            **({"arch_share": share} if share != SearchSettings().arch_share else {}),
            "selection": SELECTION,
            **({} if self.teacher is None else self.teacher.identity(self.context)),
        }

    def store_teacher(
        self, teacher: TeacherSource | None, folder: RunFolder, progress: bool, through: Literal["valid", "test"] | None
    ) -> None:
        """Compute what the teacher says at every training position, unless a killed run has stored it.

        Parameters
        ----------
        teacher
            Teacher of this training, if there is one.
        folder
            Folder of the training.
        progress
            Whether to show a progress bar.
        through
            Last part that trains beside the training part.
        """
        if teacher is None or open_store(folder.state, self.context.settings.retrain.temperature) is not None:
            return
        dataset = self.context.dataset if through is None else self.context.dataset.trained_through(through)
        begin = time.perf_counter()
        teacher.write(self.context, dataset, folder.state, progress)
        _logger.info("the teacher %s took %.1f s", teacher.path, time.perf_counter() - begin)

    def loss(self, folder: RunFolder) -> ItemLoss:
        """Training loss, with the stored teacher if there is one."""
        loss, options = self.context.loss(), self.context.settings.retrain
        if self.teacher is None:
            return loss
        stored = open_store(folder.state, options.temperature)
        assert stored is not None
        return Distilled(loss, stored, options.distillation, options.temperature)

    def fit(
        self,
        network: EASRecNetwork,
        folder: RunFolder,
        progress: bool,
        on_epoch: Callable[[dict[str, float]], None] | None,
    ) -> tuple[EpochRecord, MicroBatchSize]:
        """Train until the last epoch or until patience runs out."""
        settings, options = self.context.settings, self.context.settings.retrain
        record = EpochRecord(
            folder.state, settings.select_by, options.patience, weights=network.state_dict, on_epoch=on_epoch
        )
        size = MicroBatchSize(settings.micro_batch)
        every_user = "selection" in folder.identity
        module = SequenceModule(
            self.context.dataset,
            options,
            loss=self.loss(folder),
            micro_batch=size,
            compared=self.context.selection_rows if every_user else None,
            select_by=settings.select_by,
        )
        module.set_model(network)
        averaged = [AveragedWeights(network, options.averaging)] if options.averaging else []
        guard = EndIfDiverged({"retrain.learning_rate": options.learning_rate})
        trainer = make_trainer(
            options.epochs,
            [guard, EpochOrder(), record, *averaged, SavePoint(folder.state)],
            progress,
            settings.precision,
            judge_first=every_user and folder.checkpoint is None,
        )
        seed_rank(settings.seed)
        trainer.fit(
            module,
            self.context.training_batches(options.batch_size),
            self.context.selection_batches(every_user),
            ckpt_path=folder.checkpoint,
            weights_only=True,
        )
        return record, size

    def train(
        self,
        network: EASRecNetwork,
        folder: RunFolder,
        progress: bool,
        on_epoch: Callable[[dict[str, float]], None] | None,
    ) -> RunMetrics:
        """Train on all devices, evaluate, and write the results."""
        job = self.context.job(folder.path, self.architecture, self.weights)
        self.store_teacher(self.teacher, folder, progress, None)
        with data_parallel(self.context.settings.devices, job, WORKER):
            record, micro_batch = self.fit(network, folder, progress, on_epoch)
        network.load_state_dict(read_weights(folder.state / "best.safetensors"))
        selected_by = folder.identity.get("selection", "users that trained no alpha or beta")
        inherited = self.weights is not None
        training = RunTraining.of(
            record, inherited=inherited, micro_batch=micro_batch.as_dict(), selected_by=selected_by
        )
        training = self.with_teacher(training)
        if training.kept != "trained":
            _logger.info(
                "no epoch improved on a %s of %.4f: the network from %s weights is kept unchanged",
                self.context.settings.select_by,
                record.best_figure,
                training.weights,
            )
        metrics, ranks = run_metrics(self.context, self.architecture, network.eval(), training)
        self.commit(network, metrics, ranks, folder)
        return metrics

    def refit(self, folder: RunFolder, metrics: RunMetrics, progress: bool) -> RunMetrics:
        """Train once more, on training and validation interactions; return metrics with the refit's."""
        epochs = metrics.training.best_epoch + 1
        if epochs == 0:
            _logger.warning("no refit: no epoch improved the initial network, so no number of epochs is known")
            return metrics
        network, again = self.network(), self.refit_folder(folder, epochs)
        job: Job = {**self.context.job(again.path, self.architecture, self.weights), "refit_epochs": epochs}
        self.store_teacher(self.teacher_of_refit, again, progress, "valid")
        with data_parallel(self.context.settings.devices, job, WORKER):
            history = fit_again(network, self.context, again, epochs, progress, loss=self.loss(again))
        remove_store(again.state)
        update: dict[str, Any] = {"refitted_epochs": epochs}
        if self.teacher_of_refit is not None:
            update["teacher"] = self.teacher_of_refit.record(self.context)
        recorded = self._training_settings().model_copy(update=update)
        described = self.architecture.model_copy(update={"training": recorded, "dataset": self._trained_dataset()})
        refitted = finish_refit(network, described, self.context, again, history)
        metrics = RunMetrics.model_validate({**metrics.as_json(), **refitted.as_json()})
        write_json(folder.path / METRICS_FILE, metrics.as_json())
        return metrics

    def refit_folder(self, folder: RunFolder, epochs: int) -> RunFolder:
        """Folder of the refit inside the run's folder."""
        identity = {**folder.identity, "refit_epochs": epochs}
        if self.teacher_of_refit is not None:
            identity |= self.teacher_of_refit.identity(self.context)
        return RunFolder.open(folder.path / REFITTED_FOLDER, identity)

    def train_to_serve(
        self,
        network: EASRecNetwork,
        folder: RunFolder,
        epochs: int,
        progress: bool,
        on_epoch: Callable[[dict[str, float]], None] | None,
    ) -> RunMetrics:
        """Train on all interactions and write the results, without figures."""
        job: Job = {**self.context.job(folder.path, self.architecture, self.weights), "all_data_epochs": epochs}
        self.store_teacher(self.teacher, folder, progress, "test")
        with data_parallel(self.context.settings.devices, job, WORKER):
            history = fit_again(network, self.context, folder, epochs, progress, on_epoch, "test", self.loss(folder))
        network.load_state_dict(read_weights(folder.state / "best.safetensors"))
        served = self.context.trained_through("test")
        training = self.with_teacher(RunTraining.of_all_data(history, inherited=self.weights is not None))
        metrics = metrics_without_figures(served, self.architecture, training)
        figures = self.architecture.metrics.items()
        searched = {name: value for name, value in figures if not name.startswith("retrained_")}
        architecture = self.architecture.model_copy(update={"metrics": searched})
        replace(self, context=served, architecture=architecture).commit(network, metrics, {}, folder)
        return metrics

    def commit(
        self, network: EASRecNetwork, metrics: RunMetrics, ranks: dict[str, NDArray[np.int64]], folder: RunFolder
    ) -> None:
        """Write the results of a run, ``metrics.json`` last: its presence marks the run as complete."""
        save_weights(network.state_dict(), folder.path / WEIGHTS_FILE)
        if ranks:
            write_ranks(ranks, folder.path / RANKS_FILE)
        parts = {"valid": metrics.valid, "test": metrics.test}
        figures = {f"retrained_{part}_{name}": value for part in parts for name, value in parts[part].items()}
        self.architecture.model_copy(
            update={
                "dataset": self._trained_dataset(),
                "training": self._training_settings(),
                "metrics": {**self.architecture.metrics, **figures},
                "cost": metrics.cost,
            }
        ).write(folder.path / ARCHITECTURE_FILE)
        atomic_copy(folder.state / HISTORY_FILE, folder.path / HISTORY_FILE)
        write_json(folder.path / METRICS_FILE, metrics.as_json())
        remove_store(folder.state)

    def with_teacher(self, training: RunTraining) -> RunTraining:
        """Section of ``metrics.json`` with the teacher, if there is one."""
        if self.teacher is None:
            return training
        return training.model_copy(update={"teacher": self.teacher.record(self.context)})

    def _trained_dataset(self) -> DatasetReference:
        """Dataset of the search, or of the training if its split is another."""
        searched = self.architecture.dataset
        trained = DatasetReference.of(self.context.dataset)
        return searched if searched is not None and searched.split == trained.split else trained

    def _training_settings(self) -> TrainingSettings:
        """Training settings for the architecture file; the share stays that of the search."""
        training, searched = recorded_training(self.context.settings), self.architecture.training
        if self.teacher is not None:
            training = training.model_copy(update={"teacher": self.teacher.record(self.context)})
        if searched is None or searched.arch_share is None:
            return training
        return training.model_copy(update={"arch_share": searched.arch_share})
