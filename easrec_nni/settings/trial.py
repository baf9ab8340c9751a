"""Settings of a trial: one fully validated YAML file, without keys that have no effect."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from easrec_nni.architecture.features import feature_space_fields
from easrec_nni.architecture.training_settings import (
    EARLIER_DEFAULTS,
    LARGEST_NUMBER,
    LARGEST_SEED,
    Loss,
    MaskingSettings,
    RetrainSettings,
    SelectBy,
    without_truth_values,
)
from easrec_nni.architecture.training_settings import SettingsPart as _Settings
from easrec_nni.common.documents import deep_merge
from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.common.validation import first_problem
from easrec_nni.common.yaml_files import read_yaml
from easrec_nni.data.batches.modes import BatchBy, History, Mode, check_history, check_mode
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.settings.search import ElasticSettings, SearchSettings, TemperatureSettings
from search_spaces import SpaceConfig

__all__ = [
    "ElasticSettings",
    "JudgeSettings",
    "MaskingSettings",
    "ObjectiveSettings",
    "RetrainSettings",
    "SearchSettings",
    "TemperatureSettings",
    "TrialSettings",
]


SHORT_NAMES = {"lambda": "search.lambda", "budget": "search.budget"}
"""Hyper-parameters with a short name. Each replaces the other, as they exclude each other."""


class ObjectiveSettings(_Settings):
    """Objective that the tuner maximises; ``objective: ndcg`` is short for ``kind: ndcg``.

    It changes only what a trial reports as ``default`` (:class:`~easrec_nni.trial.objective.Objective`), not its search
    or retraining.
    """

    kind: Literal["ndcg", "ceiling", "weighted"] = Field(
        "ndcg", description="validation NDCG@10; NDCG@10 of networks within a cost ceiling; NDCG@10 minus weighted cost"
    )
    cost: Literal[
        "madds_per_user",
        "executed_madds_per_user",
        "executed_madds_per_user_on_histories",
        "latency_ms_per_user",
        "parameters",
        "inference_ms_per_user",
    ] = Field("madds_per_user", description="ceiling, weighted: cost, by its name in the final result")
    ceiling: float | None = Field(None, gt=0, description="ceiling: maximum cost of the network, in the cost's unit")
    weight: float | None = Field(
        None, ge=0, description="weighted: penalty, in NDCG, for the full cost of the unpruned network"
    )

    @model_validator(mode="before")
    @classmethod
    def _word_is_a_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _numbers_fit_the_kind(self) -> ObjectiveSettings:
        for kind, name in (("ceiling", "ceiling"), ("weighted", "weight")):
            given = getattr(self, name) is not None
            if self.kind == kind and not given:
                raise ValueError(f"kind: {kind} needs objective.{name}")
            if given and self.kind != kind:
                raise ValueError(f"{name} only applies to kind: {kind}, and kind is {self.kind}")
        if self.kind == "weighted" and self.cost == "inference_ms_per_user":
            raise ValueError("the unpruned network's time is unknown: choose another cost, or kind: ceiling")
        return self


class JudgeSettings(_Settings):
    """Judgement of a trial's network against the unpruned one; a study compares its systems without it."""

    unpruned: bool = Field(
        False,
        description="whether to train the unpruned network too, once per experiment, and judge each trial's network "
        "against it; see docs/judgement.md",
    )
    margin: float = Field(
        0.02, gt=0, lt=1, description="largest loss that counts as kept, as a share of the unpruned network's NDCG@10"
    )


class TrialSettings(_Settings):
    """Settings of a trial: dataset, space, training, search, retraining, objective, judgement.

    A sampled hyper-parameter replaces the key of its dotted name: ``lambda`` and ``budget`` (short for
    ``search.lambda`` and ``search.budget``, of which one replaces the other), ``seed``, ``search.arch_every``,
    ``space.dropout`` …
    """

    data: str = Field(description="name of a prepared dataset, or path of its folder")
    data_fingerprint: str = Field(
        "",
        pattern="^([0-9a-f]{12,64})?$",
        description="required SHA-256 of the dataset, or its first digits; empty: any dataset",
    )
    space: dict[str, Any] = Field(
        default_factory=dict, description="fields of SpaceConfig, except those set by the dataset"
    )
    mode: Mode = Field(
        "causal", description="loss at every position, every prefix as a sample, or masked items (objective: masked)"
    )
    masking: MaskingSettings = MaskingSettings()
    history: History = Field(
        "all",
        description="causal, masked: train on whole histories, split into pieces of N, or only on the newest N items; "
        "causal: pieces that overlap by half, so that every target has enough context (twice the time); augmented: all",
    )
    batch_by: BatchBy = Field(
        "targets",
        description="unit of equal-sized training batches: sequences, or targets, so that those of short histories do "
        "not weigh more than those of long ones; batch_size is then the mean number of sequences",
    )
    loss: Loss = Field(
        "softmax",
        description="loss over all items, or over negatives drawn for each batch; see easrec_nni.training.losses",
    )
    negatives: int = Field(
        256,
        ge=1,
        le=LARGEST_NUMBER,
        description="sampled_softmax, gbce: negatives per batch, limited to the catalogue",
    )
    gbce_t: float = Field(0.75, ge=0, le=1, description="gbce: calibration; 0 is plain binary cross entropy")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="softmax: share of the target's probability that is spread over all items"
    )
    select_by: SelectBy = Field(
        "auto",
        description="validation metric that selects the epoch; unseen excludes the user's history from the ranking; "
        "auto: ndcg@10_unseen if the log has almost no repeated items, else ndcg@10_full; cross_entropy_full, which is "
        "minimised: the tuner gets the NDCG of auto",
    )
    devices: int = Field(1, ge=1, description="number of GPUs (or processes, without a GPU) that share every batch")
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="bf16: matrix products in bfloat16 during training, weights and their updates in float32"
    )
    micro_batch: Literal["rule", "measured"] | Annotated[int, Field(ge=1)] = Field(
        "rule",
        description="positions per micro-batch: by rule, measured as the fastest on this machine, or a number; "
        "see easrec_nni.training.micro_batch_size",
    )
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    search: SearchSettings = SearchSettings()
    retrain: RetrainSettings = RetrainSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    judge: JudgeSettings = JudgeSettings()

    @model_validator(mode="after")
    def _latency_has_a_file(self) -> TrialSettings:
        objective = self.objective
        if objective.kind != "ndcg" and objective.cost == "latency_ms_per_user" and self.search.latency_file is None:
            raise ValueError(
                "objective.cost: latency_ms_per_user needs search.latency_file: `easrec profile DATASET --settings "
                "FILE` writes one"
            )
        return self

    @model_validator(mode="after")
    def _smoothing_fits_the_loss(self) -> TrialSettings:
        if self.label_smoothing and self.loss != "softmax":
            raise ValueError(f"label_smoothing only applies to loss: softmax, and loss is {self.loss}")
        return self

    @model_validator(mode="after")
    def _history_fits_the_mode(self) -> TrialSettings:
        check_history(self.mode, self.history)
        return self

    @model_validator(mode="after")
    def _teacher_fits_the_mode(self) -> TrialSettings:
        if self.mode == "masked" and self.retrain.teacher is not None:
            raise ValueError(
                "retrain.teacher: mode: masked hides other items in every epoch, so that what a teacher says there "
                "cannot be stored: set mode: causal or augmented, or leave the teacher out"
            )
        return self

    def dataset(self, beside: Path | None = None) -> Dataset:
        """Load the dataset that ``data`` names, and verify it against ``data_fingerprint`` if set.

        Parameters
        ----------
        beside
            Base folder of a relative path; the working directory by default.

        Raises
        ------
        UserError
            The dataset is missing, or its fingerprint differs.
        """
        is_relative = "/" in self.data and not self.data.startswith(("/", "~"))
        path = beside / self.data if beside is not None and is_relative else self.data
        dataset = load_dataset(path, verify=bool(self.data_fingerprint))
        if not dataset.fingerprint.startswith(self.data_fingerprint):
            raise UserError(
                f"the dataset in {dataset.path} on {socket.gethostname()} has fingerprint {dataset.fingerprint[:12]}, "
                f"and the settings ask for {self.data_fingerprint[:12]} (data_fingerprint): copy the folder of that "
                "dataset to this machine, or prepare it here from the same log with the same options"
            )
        return dataset

    def space_for(self, dataset: Dataset | int) -> SpaceConfig:
        """Space configuration for a dataset, with its number of items and requested item features.

        Parameters
        ----------
        dataset
            Dataset; or a number of items, to check settings without item features if the dataset is elsewhere.

        Raises
        ------
        UserError
            A key or value is invalid for :class:`~search_spaces.SpaceConfig`, the mode cannot train the network, or the
            dataset lacks the item features.
        """
        sizes: dict[str, Any] = {"n_items": dataset if isinstance(dataset, int) else dataset.n_items}
        if not isinstance(dataset, int) and self.space.get("features", "none") != "none":
            names = self.space.get("feature_names") or ()
            if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
                raise UserError("settings, space.feature_names: must be a list of names, such as [genre]")
            sizes |= feature_space_fields(dataset, names)
        for name in ("n_items", "feature_sizes", "feature_values"):
            if name in self.space:
                verb = "is" if name == "n_items" else "are"
                raise UserError(f"settings, space: {name} {verb} set by the dataset; remove the key")
        for name, value in self.space.items():
            try:
                without_truth_values(SpaceConfig, name, value)
            except ValueError as error:
                raise UserError(f"settings, space: {name}: {error}") from None
        try:
            config = SpaceConfig(**{**self.space, **sizes})
        except ValidationError as error:
            raise UserError(f"settings, space: {first_problem(error, SpaceConfig)}") from None
        except TypeError as error:  # a key that is not a string
            raise UserError(f"settings, space: {error}") from None
        check_mode(self.mode, config, "settings: ")
        return config

    def with_parameters(self, parameters: dict[str, Any]) -> TrialSettings:
        """Copy with sampled hyper-parameters applied, validated like a file."""
        document = self.model_dump(by_alias=True)
        drawn = {SHORT_NAMES.get(name, name) for name in parameters}
        for short, name in SHORT_NAMES.items():
            if {short, name} <= parameters.keys():
                raise UserError(f"hyper-parameters {short!r} and {name!r} are the same: give one of them")
        if drawn & (exclusive := set(SHORT_NAMES.values())):
            document["search"] |= dict.fromkeys(name.removeprefix("search.") for name in exclusive - drawn)
        for name, value in parameters.items():
            path = SHORT_NAMES.get(name, name).split(".")
            target = document
            for part in path[:-1]:
                if not isinstance(target.get(part), dict):
                    raise UserError(f"hyper-parameter {name!r}: the settings have no section {part!r}")
                target = target[part]
            is_key = path[-1] in target or target is document["space"]
            if not is_key:
                keys = [*target, *SHORT_NAMES] if target is document else list(target)
                raise UserError(
                    f"hyper-parameter {name!r} is not a key of the settings; {did_you_mean(path[-1], sorted(keys))}"
                )
            target[path[-1]] = value
        return self.parse(document, "hyper-parameters")

    @classmethod
    def read(cls, path: str | Path) -> TrialSettings:
        """Read settings from a YAML file.

        Raises
        ------
        UserError
            The file is missing or not valid YAML, a key is unknown, or a value is out of range.
        """
        file = Path(path)
        document = read_yaml(file, "settings file", "`easrec init` writes examples", "data: ml-100k")
        return cls.parse(document, str(file))

    @classmethod
    def parse(cls, document: dict[str, Any], origin: str) -> TrialSettings:
        """Validate settings from a dictionary; messages name its ``origin``."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise UserError(f"{origin}: {first_problem(error, cls)}") from None

    @classmethod
    def reopen(cls, document: dict[str, Any], origin: str) -> TrialSettings:
        """Validate settings written by a run, of this or an earlier version.

        Missing keys have the defaults of earlier versions
        (:data:`~easrec_nni.architecture.training_settings.EARLIER_DEFAULTS`), which accepted and ignored
        ``history: newest`` in augmented mode, and weighed nominal cost.
        """
        document = deep_merge(EARLIER_DEFAULTS, document)
        if document.get("mode") == "augmented" and document.get("history") == "newest":
            document = {**document, "history": "all"}
        if isinstance(search := document.get("search", {}), dict) and "cost" not in search:
            document = {**document, "search": {**search, "cost": "nominal"}}
        return cls.parse(document, origin)
