"""Settings of the search stage: strategy, schedule, constraint."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from easrec_nni.architecture.cost_kinds import CostKind
from easrec_nni.architecture.training_settings import Averaging, BatchSize, OptimizerSettings
from easrec_nni.architecture.training_settings import SettingsPart as _Settings

__all__ = ["DEFAULT_LAMBDA", "ElasticSettings", "SearchSettings", "TemperatureSettings"]


DEFAULT_LAMBDA = 0.1


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
    averaging: Averaging = 0.998
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
