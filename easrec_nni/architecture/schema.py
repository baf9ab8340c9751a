"""Schema of ``architecture.json``: fields, limits and consistency checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from easrec_nni.architecture.cost_kinds import CostKind
from easrec_nni.architecture.training_settings import TrainingSettings
from easrec_nni.common.hints import did_you_mean
from easrec_nni.data.split_names import LEAVE_ONE_OUT
from search_spaces.config import ATTENTION_NAMES, Choice, SpaceConfig, candidate_label

if TYPE_CHECKING:
    from easrec_nni.data.dataset import Dataset

__all__ = [
    "LARGEST_DECIDED_ENTROPY",
    "SCHEMA_VERSION",
    "ArchitectureSchema",
    "DatasetIdentity",
    "DatasetReference",
    "is_decided",
]


SCHEMA_VERSION: Final = 1
"""Version of the JSON format; raised by changes that older readers would misread."""


# Limits so that hostile numbers cannot exhaust memory: checking builds lists of depths, loading builds tensors.
LARGEST_SIZES = {
    "layers": 1000,
    "hidden": 1 << 20,
    "inner": 1 << 20,
    "max_length": 1 << 20,
    "linformer_rank": 1 << 20,
    "n_items": 1 << 31,
}


LARGEST_LISTS = {"feature_sizes": 1 << 31, "feature_values": 1 << 20}  # largest entry


MOST_FEATURES = 1000


LARGEST_SUM_ERROR = 1e-3  # tolerance for probabilities rounded by hand


LARGEST_DECIDED_ENTROPY = 0.3
"""In nats. With two options, the stronger one has a probability of 91 % at this entropy."""


def is_decided(entropies: Mapping[str, float]) -> bool:
    """Whether the entropies of alpha and beta are at most :data:`LARGEST_DECIDED_ENTROPY`."""
    return all(entropy <= LARGEST_DECIDED_ENTROPY for entropy in entropies.values())


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class DatasetReference(_Part):
    """Dataset that an architecture was searched on."""

    name: str = Field(description="name of the prepared dataset")
    fingerprint: str = Field("", description="checksum of the prepared dataset")
    items_sha256: str = Field("", description="checksum of the item ids in the order of their numbers")
    n_users: int = Field(ge=1)
    n_items: int = Field(ge=1, description="items of the catalogue, without padding")
    suited_ranking: Literal["", "full", "unseen"] = Field(
        "", description="ranking that suits the log's share of repeated items; empty in files of earlier versions"
    )
    split: str = Field(LEAVE_ONE_OUT, description="what trained and what was a target; none: everything trained")

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Reference to a dataset."""
        return cls(
            name=dataset.name,
            fingerprint=dataset.fingerprint,
            items_sha256=dataset.items_sha256,
            suited_ranking=dataset.suited_ranking,
            n_users=dataset.n_users,
            n_items=dataset.n_items,
            split=dataset.split.name,
        )


class DatasetIdentity(DatasetReference):
    """Dataset of a result; equal fingerprints mean equal interactions, split and negatives."""

    model_config = ConfigDict(extra="allow")  # for keys of later versions

    fingerprint: str

    @property
    def title(self) -> str:
        """Name, with the split where it is not the usual one: figures of two splits are not to be compared."""
        return self.name if self.split == LEAVE_ONE_OUT else f"{self.name}, split {self.split}"


class ArchitectureSchema(_Part):
    """Fields of an architecture, with validation."""

    schema_version: Literal[1] = SCHEMA_VERSION
    choices: Choice = Field(description="what the search decided, Eq. 18")
    space: SpaceConfig = Field(description="what it chose from")
    dataset: DatasetReference | None = None
    seed: int | None = Field(None, ge=0)
    lambda_: float | None = Field(None, alias="lambda", ge=0, description="trade-off of Eq. 16")
    budget: float | None = Field(
        None, gt=0, le=1, description="largest share of the largest architecture's cost that the search allowed"
    )
    cost_kind: CostKind | None = Field(None, description="kind of cost that the search weighed or bounded")
    training: TrainingSettings | None = Field(None, description="training settings of its networks")
    cost: dict[str, float] = Field(default_factory=dict, description="figures with the unit in their names")
    unpruned_cost: dict[str, float] | None = Field(None, description="the same figures of the space's largest network")
    probabilities: dict[Literal["pruning", "depth"], dict[str, float]] = Field(
        default_factory=dict, description="softmax of alpha by candidate label, of beta by number of layers"
    )
    metrics: dict[str, float] = Field(default_factory=dict, description="figures with the protocol in their names")
    versions: dict[str, str] = Field(default_factory=dict, description="packages that made this file")

    @field_validator("cost", "unpruned_cost")
    @classmethod
    def _check_cost(cls, cost: dict[str, float] | None) -> dict[str, float] | None:
        for name, value in (cost or {}).items():
            if value < 0:
                raise ValueError(f"{name} is negative")
        return cost

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        """Refuse names with control characters, as they are printed in terminals."""
        names = [*self.cost, *(self.unpruned_cost or ()), *self.metrics, *self.versions, *self.versions.values()]
        names += [self.dataset.name, self.dataset.split] if self.dataset else []
        for name in [*names, *self.space.feature_names]:
            if not name.isprintable():
                raise ValueError(f"the name {name[:40]!r} has characters that cannot be printed")
        return self

    @model_validator(mode="after")
    def _check_space(self) -> Self:
        for name, largest in LARGEST_SIZES.items():
            if getattr(self.space, name) > largest:
                raise ValueError(f"space.{name} is more than {largest}")
        for name, largest in LARGEST_LISTS.items():
            entries = getattr(self.space, name)
            if len(entries) > MOST_FEATURES or max(entries, default=0) > largest:
                raise ValueError(f"space.{name} has more than {MOST_FEATURES} entries or one above {largest}")
        if self.space.attention not in ATTENTION_NAMES:
            hint = did_you_mean(self.space.attention, ATTENTION_NAMES)
            raise ValueError(f"unknown space.attention {self.space.attention[:40]!r}; {hint}")
        try:
            self.space.choice(self.choices)
        except ValueError as error:
            raise ValueError(f"choices.{error}") from None
        if self.dataset is not None and self.dataset.n_items != self.space.n_items:
            raise ValueError(
                f"dataset.n_items={self.dataset.n_items} and space.n_items={self.space.n_items} must be the same"
            )
        return self

    @model_validator(mode="after")
    def _check_probabilities(self) -> Self:
        options = {
            "pruning": [candidate_label(*candidate) for candidate in self.space.candidates],
            "depth": [str(depth) for depth in self.space.depths],
        }
        for name, values in self.probabilities.items():
            for key, value in values.items():
                if key not in options[name]:
                    raise ValueError(
                        f"probabilities.{name}: {key!r} is not in this space; {did_you_mean(key, options[name])}"
                    )
                if not 0 <= value <= 1:
                    raise ValueError(f"probabilities.{name}.{key}={value} is not from 0 to 1")
            total = sum(values.values())
            if abs(total - 1) > LARGEST_SUM_ERROR:
                raise ValueError(f"probabilities.{name} must sum to 1; they sum to {total:g}")
        return self

    @property
    def entropies(self) -> dict[str, float]:
        """Entropy of alpha (``pruning``) and beta (``depth``) at the end of the search, in nats."""
        return {
            label: -sum(p * math.log(p) for p in values.values() if p > 0)
            for label, values in self.probabilities.items()
        }

    @property
    def network(self) -> SpaceConfig:
        """Configuration of the compact network that the choices describe."""
        return self.space.compact(self.choices)
