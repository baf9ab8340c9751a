"""Context of a trial: settings, dataset and space, and everything derived from the three."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.cost import Cost, architecture_cost
from easrec_nni.architecture.document import Architecture, DatasetReference
from easrec_nni.architecture.history_lengths import HistoryLengths
from easrec_nni.architecture.latency import LatencyFile, latency_table
from easrec_nni.architecture.training_settings import EARLIER_DEFAULTS, OF_TEACHERS, BatchSize, SettingsPart
from easrec_nni.common.errors import UserError
from easrec_nni.common.provenance import package_versions
from easrec_nni.data.batches.evaluation import ArchitectureBatches, EvaluationBatches
from easrec_nni.data.batches.masked import MaskedBatches
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.scoring import evaluation_batch_size
from easrec_nni.evaluation.selection import compared_figure, validation_rows
from easrec_nni.settings.resolution import resolved
from easrec_nni.settings.search import DEFAULT_LAMBDA
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.losses import LOSSES, ItemLoss, WithNegatives, make_loss
from easrec_nni.training.parallel import Job, ShareOfBatches, count, rank
from easrec_nni.training.recorded import recorded_training
from search_spaces import Choice, SpaceConfig

__all__ = ["Stage", "TrialContext"]

Stage = Literal["search", "retrain"]


# A refit follows the run and does not change it; the kind of cost is a key of its own; what a latency file predicts and
# what a teacher says count, and not their names.
OUTSIDE_IDENTITY: dict[Stage, set[str]] = {
    "search": {"arch_loss", "cost", "latency_file"},
    "retrain": {"refit", "teacher", *OF_TEACHERS},
}


@dataclass(frozen=True, eq=False)  # a dataset has arrays: contexts compare by identity
class TrialContext:
    """Settings, dataset and space of a trial: batches, loss, users and identity of its stages.

    The only source of batches, loss and selection users for every system; see
    :mod:`easrec_nni.training.protocol`.

    Attributes
    ----------
    settings
        Settings of the trial; ``auto`` is replaced by its value for the dataset.
    dataset
        Prepared interactions.
    space
        Space to search, or the space of the architecture to retrain.
    """

    settings: TrialSettings
    dataset: Dataset
    space: SpaceConfig

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", resolved(self.settings, self.dataset, self.space.max_length))

    @classmethod
    def open(cls, settings: TrialSettings, dataset: Dataset | None = None) -> TrialContext:
        """Create the context of a trial: check the dataset and build the space.

        Parameters
        ----------
        settings
            Settings of the trial.
        dataset
            Dataset to use; the one that the settings name by default.

        Raises
        ------
        UserError
            The dataset is missing or too small to train on, or the space does not fit it.
        """
        dataset = settings.dataset() if dataset is None else dataset
        dataset.check_trainable()
        return cls(settings, dataset, settings.space_for(dataset))

    def training_batches(self, batch_size: BatchSize) -> TrainingBatches | WithNegatives | ShareOfBatches:
        """Training batches, this process' share of them, with negatives if the loss needs them.

        Parameters
        ----------
        batch_size
            Number of sequences per batch, from this context's settings, which hold no ``auto``.
        """
        settings, length = self.settings, self.space.max_length
        assert batch_size != "auto"
        if settings.mode == "masked":
            assert settings.history != "overlapping"
            masking = settings.masking.model_dump()
            masked = MaskedBatches(
                self.dataset, length, batch_size, settings.seed, settings.history, settings.batch_by, **masking
            )
            return self._shared(masked, 0)
        batches = TrainingBatches(
            self.dataset, length, batch_size, settings.mode, settings.seed, settings.history, settings.batch_by
        )
        return self._shared(batches, 0)

    def architecture_batches(self) -> ArchitectureBatches | WithNegatives | ShareOfBatches:
        """Batches of the validation targets that train alpha and beta, with the loss of the weights."""
        size, seed = self.settings.search.arch_batch_size, self.settings.seed
        rows = self.architecture_rows
        return self._shared(ArchitectureBatches(self.dataset, self.space.max_length, size, rows, seed), 1)

    def _shared(self, batches: Any, stream: int) -> Any:
        settings = self.settings
        if LOSSES[settings.loss].needs_negatives:
            # Separate streams: the two steps of an iteration must not share their negatives.
            batches = WithNegatives(batches, self.dataset.n_items, settings.negatives, 2 * settings.seed + stream)
        return batches if count() == 1 else ShareOfBatches(batches, rank(), count())

    def selection_batches(self, every_user: bool = False) -> EvaluationBatches:
        """Validation batches of the selection users, this process' share of them.

        Parameters
        ----------
        every_user
            Whether users that train alpha and beta select too, as in a retraining.
        """
        rows = np.arange(len(self.dataset.split.valid)) if every_user else self.selection_rows
        if len(rows) >= count():  # otherwise every process takes all rows: none may be empty
            rows = rows[rank() :: count()]
        size = evaluation_batch_size(self.dataset.n_items)
        return EvaluationBatches(self.dataset, "valid", self.space.max_length, size, rows)

    @property
    def architecture_rows(self) -> NDArray[Any]:
        """Rows of the validation targets that train alpha and beta."""
        return validation_rows(self.dataset, self.settings.search.arch_share)[0]

    @property
    def selection_rows(self) -> NDArray[Any]:
        """Rows of the validation targets of users who train no alpha or beta."""
        return validation_rows(self.dataset, self.settings.search.arch_share)[1]

    @cached_property
    def history_lengths(self) -> HistoryLengths | None:
        """Lengths of the histories that inference sees, those before the test targets; None without such targets."""
        return HistoryLengths.of(self.dataset, self.space.max_length)

    @cached_property
    def latency(self) -> LatencyFile | None:
        """Latency file that the settings name; None without one.

        Raises
        ------
        UserError
            The file cannot be read, or is of another space.
        """
        file = self.settings.search.latency_file
        return None if file is None else LatencyFile.read(file, self.space)

    def cost(self, choice: Choice) -> Cost:
        """Cost of an architecture of the space, also on the dataset's histories and by the latency file."""
        cost = architecture_cost(self.space, choice, self.history_lengths)
        if self.latency is None:
            return cost
        return replace(cost, latency_ms_per_user=self.latency.predict(choice, self.space))

    def loss(self) -> ItemLoss:
        """Loss from the settings, for the dataset's catalogue."""
        return make_loss(self.settings.loss, self.dataset.n_items, self.settings.gbce_t, self.settings.label_smoothing)

    def identity(self, stage: Stage) -> dict[str, Any]:
        """Identity of a stage's run: everything that determines its result.

        It is stored in the run's folder. Settings without effect on the run are left out, and so are newer settings at
        their first defaults: a run keeps its identity when a later version adds settings or changes defaults.
        """
        settings = self.settings
        part = settings.search if stage == "search" else settings.retrain
        later = OUTSIDE_IDENTITY[stage] | EARLIER_DEFAULTS[stage].keys()
        options = part.model_dump(mode="json", exclude_defaults=True, exclude=later)
        identity: dict[str, Any] = {
            "dataset": self.dataset.fingerprint,
            "space": self.space.model_dump(mode="json", exclude_defaults=True),
            stage: options | _changed(part, EARLIER_DEFAULTS[stage]),
            "mode": settings.mode,
            "history": settings.history,
            "seed": settings.seed,
        }
        if stage == "search":
            self._identify_search(identity)
        if settings.mode == "masked":
            identity["masking"] = settings.masking.model_dump(mode="json")
        if settings.loss != "softmax":
            identity |= {"loss": settings.loss, "negatives": settings.negatives}
        if settings.devices > 1:  # each process draws its own dropout
            identity["devices"] = settings.devices
        if settings.precision != "float32":
            identity["precision"] = settings.precision
        if settings.micro_batch != "rule":  # dropout is drawn part by part
            identity["micro_batch"] = settings.micro_batch
        if settings.loss == "gbce":
            identity["gbce_t"] = settings.gbce_t
        defaults = {key: EARLIER_DEFAULTS[key] for key in ("batch_by", "select_by")}
        return identity | _changed(settings, {**defaults, "label_smoothing": 0.0})

    def _identify_search(self, identity: dict[str, Any]) -> None:
        """Add what only a search depends on, with defaults resolved that earlier versions did not have."""
        options = self.settings.search
        # A default of today is left out under the rules of the versions in which it was one.
        if options.lambda_ == DEFAULT_LAMBDA:
            del identity["search"]["lambda_"]
        identity["cost"] = options.cost_kind
        if options.calibrates:
            identity["arch_loss"] = "calibrated"
        if options.cost_kind == "latency" and self.latency is not None:
            identity["latency"] = latency_table(self.latency, self.space)

    @property
    def figure(self) -> str:
        """Validation NDCG@10 by which trials are compared: see :func:`.selection.compared_figure`."""
        return compared_figure(self.settings.select_by, self.dataset)

    def trained_through(self, through: Literal["valid", "test"]) -> TrialContext:
        """Copy of the context that also trains on later parts: see :meth:`.Dataset.trained_through`."""
        return replace(self, dataset=self.dataset.trained_through(through))

    def job(self, out: Path, architecture: Architecture | None = None, weights: str | Path | None = None) -> Job:
        """Arguments of a stage's worker processes."""
        return {
            "data": str(self.dataset.path.resolve()),
            "settings": self.settings.model_dump(mode="json", by_alias=True),
            "out": str(out.resolve()),
            "architecture": None if architecture is None else architecture.to_json(),
            "weights": None if weights is None else str(Path(weights).resolve()),
        }

    def architecture(self, choice: Choice, **fields: Any) -> Architecture:
        """Architecture document of a choice, with dataset, training settings and cost.

        Parameters
        ----------
        choice
            Choice of the architecture.
        fields
            Further fields of the document, such as the final probabilities of a search.
        """
        return Architecture(
            choices=choice,
            space=self.space,
            dataset=DatasetReference.of(self.dataset),
            training=recorded_training(self.settings),
            cost=self.cost(choice).as_dict(),
            unpruned_cost=self.cost(self.space.largest).as_dict(),
            versions=package_versions(),
            seed=self.settings.seed,
            **fields,
        )

    def check_share(self, architecture: Architecture) -> None:
        """Raise if a user that trained alpha and beta in the search would be a selection user now.

        An architecture without probabilities trained none: it is handwritten, unpruned, or comes from a multi-trial
        search.

        Raises
        ------
        UserError
            Some users overlap; the message names the share to set.
        """
        recorded = architecture.training.arch_share if architecture.training else None
        if recorded is None or not architecture.probabilities:
            return
        trained, _ = validation_rows(self.dataset, recorded)
        compared = self.selection_rows
        overlap = len(np.intersect1d(trained, compared))
        if overlap:
            raise UserError(
                f"search.arch_share: {self.settings.search.arch_share:g}: {overlap} of the {len(compared)} users whose "
                "validation figure would be reported as that of users who trained no alpha or beta did train them, as "
                f"the search had arch_share {recorded:g}: leave search.arch_share out, or set it to {recorded:g} or "
                "more"
            )


def _changed(settings: SettingsPart, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with other values than these defaults."""
    return {key: value for key, default in defaults.items() if (value := getattr(settings, key)) != default}
