"""Settings of a trial: one fully validated YAML file, without keys that have no effect."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from easrec_nni.architecture.cost_kinds import CostKind
from easrec_nni.architecture.features import feature_space_fields
from easrec_nni.architecture.training_settings import (
    EARLIER_DEFAULTS,
    LARGEST_NUMBER,
    LARGEST_SEED,
    BatchSize,
    Loss,
    MaskingSettings,
    OptimizerSettings,
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


DEFAULT_LAMBDA = 0.1

SHORT_NAMES = {"lambda": "search.lambda", "budget": "search.budget"}
"""Hyper-parameters with a short name. Each replaces the other, as they exclude each other."""


class TemperatureSettings(_Settings):
    """Temperature schedule: tau = max(end, start - decay * iteration), Table II."""

    start: float = Field(1.0, gt=0)
    end: float = Field(0.01, gt=0)
    decay: float = Field(0.00005, ge=0, description="per iteration; the paper's value suits 1,000 iterations per epoch")


class ElasticSettings(_Settings):
    """Settings of ``strategy: elastic``; see :class:`strategies.elastic.Elastic`."""

    sandwich: bool = Field(True, description="train the largest and the smallest network in every step")
    random_paths: int = Field(1, ge=0, le=64, description="random architectures trained in every step")
    fair: bool = Field(True, description="random architectures take all options of a choice equally often")
    distillation: float = Field(
        0.5, ge=0, le=1, description="weight of the largest network's scores beside the targets, in smaller networks"
    )
    share: float = Field(
        0.5, gt=0, le=1, description="share of a batch's sequences that each smaller network is trained on"
    )
    warmup_epochs: int = Field(0, ge=0, description="first epochs, which only train the largest network")
    averaging: float = Field(
        0.998,
        ge=0,
        lt=1,
        description="decay of the moving average of the weights, which is validated and saved instead",
    )
    evaluated: int = Field(
        256, ge=2, le=1 << 16, description="largest number of architectures evaluated after the training"
    )

    @model_validator(mode="after")
    def _settings_fit_together(self) -> ElasticSettings:
        if not self.sandwich and self.distillation:
            raise ValueError(
                "sandwich: false trains no largest network in a step to distil from: set distillation: 0 too"
            )
        if not self.sandwich and not self.random_paths:
            raise ValueError("sandwich: false with random_paths: 0 trains nothing: set random_paths: 1 or more")
        return self


class SearchSettings(OptimizerSettings):
    """Settings of the search stage."""

    strategy: str = Field(
        "easrec",
        description="search strategy: a name in STRATEGIES, SUPERNET_STRATEGIES or MULTI_TRIAL_STRATEGIES",
    )
    epochs: int = Field(100, ge=1, description="maximum number of epochs, including the warm-up")
    warmup_epochs: int | None = Field(
        None,
        ge=0,
        description="first epochs, which train only weights, on paths sampled uniformly; a third of epochs by default",
    )
    patience: int = Field(
        10,
        ge=1,
        description="epochs without improvement of the argmax network until a decided search stops",
    )
    batch_size: BatchSize = Field(
        "auto", description="sequences per training batch; auto: as many as have about 1,024 targets"
    )
    arch_batch_size: int = Field(64, ge=1, description="users per batch that trains alpha and beta")
    arch_movement: float = Field(
        4.0,
        gt=0,
        description="nats that a logit of alpha or beta can move in the whole search; sets Adam's rate",
    )
    arch_learning_rate: float | None = Field(
        None, gt=0, description="learning rate of Adam for alpha and beta, as stated in papers; replaces arch_movement"
    )
    arch_every: int = Field(1, ge=1, description="f, number of iterations per step of alpha and beta")
    arch_loss: Literal["training", "calibrated"] | None = Field(
        None,
        description="loss of alpha and beta: that of the weights, or without dropout and at the best scale of the "
        "scores; calibrated by default for easrec, unless constraint: printed",
    )
    arch_share: float = Field(0.5, gt=0, lt=1, description="share of users whose validation target trains alpha, beta")
    lambda_: float | None = Field(
        None, ge=0, alias="lambda", description="trade-off weight in Eq. 16; 0.1 by default, none with a budget"
    )
    budget: float | None = Field(
        None,
        gt=0,
        le=1,
        description="largest cost of the exported architecture, as a share of the largest architecture's (0.4 or 40%), "
        "instead of lambda: a multiplier in lambda's place is adapted to it during the search",
    )
    cost: CostKind | None = Field(
        None,
        description="cost of the constraint and the budget: multiply-adds of a full window; those that inference "
        "executes on the dataset's histories; milliseconds that latency_file predicts; weights. By default executed; "
        "nominal with constraint: printed",
    )
    latency_file: str | None = Field(
        None,
        description="path of a device's latency file (`easrec profile`), for cost: latency; the costs of architectures "
        "then have latency_ms_per_user",
    )
    constraint: Literal["cumulative", "printed"] = Field("cumulative", description="form of Eq. 15")
    dynamic: bool = Field(True, description="whether the constraint carries L_t / L")
    noise: bool = Field(True, description="whether draws have Gumbel noise")
    export: Literal["last", "best_epoch"] = Field(
        "last",
        description="architecture to export: that of the last alpha and beta (Eq. 18), with the best weights among the "
        "epochs that had it; or that of the epoch whose argmax network had the highest NDCG",
    )
    temperature: TemperatureSettings = TemperatureSettings()
    candidate_epochs: int = Field(2, ge=1, description="epochs per candidate, for strategies that train candidates")
    elastic: ElasticSettings = ElasticSettings()

    @field_validator("budget", mode="before")
    @classmethod
    def _percentage_is_a_share(cls, value: Any) -> Any:
        if isinstance(value, str) and value.strip().endswith("%"):
            try:
                return float(value.strip().removesuffix("%")) / 100
            except ValueError:
                pass  # refused as a number, with the text as it was given
        return value

    @model_validator(mode="before")
    @classmethod
    def _lambda_has_a_default_without_budget(cls, value: Any) -> Any:
        if isinstance(value, dict) and all(value.get(name) is None for name in ("budget", "lambda", "lambda_")):
            return {name: entry for name, entry in value.items() if name != "lambda_"} | {"lambda": DEFAULT_LAMBDA}
        return value

    @model_validator(mode="after")
    def _constraint_is_of_one_kind(self) -> SearchSettings:
        if self.budget is not None and self.lambda_ is not None:
            raise ValueError(
                "budget and lambda exclude each other, as a budget's multiplier takes lambda's place: remove one"
            )
        if self.constraint == "printed":
            if self.budget is not None:
                raise ValueError(
                    "constraint: printed adds the cost of single layers, which a budget of the whole network does not "
                    "bound: leave constraint out"
                )
            if self.cost not in (None, "nominal"):
                raise ValueError(f"constraint: printed counts nominal cost, and cost is {self.cost}: remove cost")
        if self.cost == "latency" and self.latency_file is None:
            raise ValueError("cost: latency needs latency_file: `easrec profile DATASET --settings FILE` writes one")
        return self

    @model_validator(mode="after")
    def _epochs_remain_after_the_warmup(self) -> SearchSettings:
        if self.warmup_epochs is not None and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs: {self.warmup_epochs} leaves none of {self.epochs} epochs for alpha and beta: "
                "set fewer warm-up epochs or more epochs"
            )
        if self.strategy == "elastic" and self.elastic.warmup_epochs >= self.epochs:
            raise ValueError(
                f"elastic.warmup_epochs: {self.elastic.warmup_epochs} leaves none of {self.epochs} epochs for the "
                "smaller networks: set fewer warm-up epochs or more epochs"
            )
        return self

    @property
    def warmup(self) -> int:
        """Number of warm-up epochs, with the default resolved."""
        return self.epochs // 3 if self.warmup_epochs is None else self.warmup_epochs

    @property
    def calibrates(self) -> bool:
        """Whether alpha and beta are trained by the calibrated loss, with the default resolved."""
        by_default = self.strategy == "easrec" and self.constraint != "printed"
        return by_default if self.arch_loss is None else self.arch_loss == "calibrated"

    @property
    def cost_kind(self) -> CostKind:
        """Kind of cost, with the default resolved."""
        return self.cost or ("nominal" if self.constraint == "printed" else "executed")


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
