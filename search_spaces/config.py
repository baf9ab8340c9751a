"""Configuration of a search space: sizes, candidates and fixed choices."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["ATTENTION_NAMES", "BIDIRECTIONAL_ONLY", "Choice", "SpaceConfig", "candidate_label", "parse_candidate_label"]

ATTENTION_NAMES = ("linrec", "softmax", "elu", "efficient", "linformer")
"""Keys of :data:`search_spaces.attention.ATTENTIONS`, for checking files without importing torch."""

SOFTMAX_NAMES = frozenset({"softmax", "linformer"})
"""Forms with attention weights, which can be dropped."""

BIDIRECTIONAL_ONLY = frozenset({"linformer"})
"""Forms without a causal variant, as every position contributes to all others."""


def _percent(ratio: float) -> str:
    """Percentage without a dot, which NNI's labels may not contain: ``0.125`` is ``"12p5"``."""
    return f"{100 * ratio:g}".replace(".", "p")


def candidate_label(hidden_pruning: float, inner_pruning: float) -> str:
    """Label of a candidate transformer, as shown in the web UI and in JSON files.

    Examples
    --------
    >>> candidate_label(0.25, 0.5)
    'hidden25_inner50'
    """
    return f"hidden{_percent(hidden_pruning)}_inner{_percent(inner_pruning)}"


def parse_candidate_label(label: str) -> tuple[float, float]:
    """Inverse of :func:`candidate_label`.

    Examples
    --------
    >>> parse_candidate_label("hidden25_inner12p5")
    (0.25, 0.125)
    """
    hidden, separator, inner = label.partition("_")
    if not (separator and hidden.startswith("hidden") and inner.startswith("inner")):
        raise ValueError(f"{label!r} is not a candidate label; one looks like 'hidden25_inner50'")
    ratios = [part.replace("p", ".") for part in (hidden.removeprefix("hidden"), inner.removeprefix("inner"))]
    try:
        return float(ratios[0]) / 100, float(ratios[1]) / 100
    except ValueError:
        raise ValueError(f"{label!r} is not a candidate label; one looks like 'hidden25_inner50'") from None


class Choice(BaseModel):
    """One architecture of a space: pruning ratios and number of layers (Eq. 18)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hidden_pruning: float = Field(ge=0, lt=1, description="pruned share of the hidden dimensions d")
    inner_pruning: float = Field(ge=0, lt=1, description="pruned share of the inner dimensions D")
    depth: int = Field(ge=1, description="number of transformer layers")

    @property
    def label(self) -> str:
        """Label of the candidate."""
        return candidate_label(self.hidden_pruning, self.inner_pruning)


class SpaceConfig(BaseModel):
    """Sizes and candidates of a search space; defaults are Table II's for MovieLens-1M.

    A configuration with one candidate and one depth is a fixed network; see :meth:`compact`.

    Raises
    ------
    pydantic.ValidationError
        A ``ValueError`` for unknown keys, widths that the heads do not divide, or empty choices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_items: int = Field(ge=1, description="items of the catalogue, without padding")
    max_length: int = Field(200, ge=1, description="N, number of newest interactions that the network uses")
    hidden: int = Field(128, ge=1, description="d, hidden width of the largest candidate")
    inner: int = Field(256, ge=1, description="D, inner width of the largest candidate")
    heads: int = Field(4, ge=1, description="attention heads of every candidate")
    layers: int = Field(4, ge=1, description="L, largest number of transformer layers")
    min_depth: int = Field(1, ge=1, description="smallest number of transformer layers")
    item_width: int | None = Field(
        None,
        ge=1,
        description="width of item embeddings and scoring, projected to and from that of the blocks; "
        "by default the blocks' own",
    )
    hidden_pruning: tuple[float, ...] = Field((0.0, 0.25, 0.5), description="candidate pruning ratios of d")
    inner_pruning: tuple[float, ...] = Field((0.0, 0.25, 0.5), description="candidate pruning ratios of D")
    attention: str = Field("linrec", description="form of attention, a name of search_spaces.attention.ATTENTIONS")
    direction: Literal["causal", "bidirectional"] = Field("causal", description="positions that attention may see")
    key_norm: Literal["row", "column"] = Field(
        "row",
        description="LinRec: keys normalised per position (its published code) or per feature (Eq. 5 as printed)",
    )
    linformer_rank: int = Field(32, ge=1, description="linformer: number of position mixtures, k")
    gate_layers: Literal[0, 1, 2] = Field(2, description="dense layers of a data-aware gate, 0: no gates (Table V)")
    gates_from: int = Field(2, ge=1, description="first layer that has gates (Eq. 8: 2)")
    gate_scale: float = Field(2.0, gt=0, description="gamma of Eq. 7")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout of the unpruned width")
    dropout_scaling: Literal["none", "width"] = Field(
        "none", description="dropout of narrower candidates: the same, or in proportion to the kept hidden dimensions"
    )
    attention_dropout: float | None = Field(
        None, ge=0, lt=1, description="dropout of softmax attention weights; by default as dropout"
    )
    positions: Literal["from_end", "from_start", "none"] = Field(
        "from_end", description="position embeddings counted from the newest or the oldest interaction, or none"
    )
    item_initialisation: Literal["normal"] = Field(
        "normal", exclude=True, description="field of earlier versions, which had another value too"
    )
    embedding_norm: bool = Field(True, description="LayerNorm over the kept dimensions of the embedding")
    supernet: Literal["independent", "shared"] = Field(
        "independent", description="candidates with separate weights (the paper), or slices of the largest block"
    )
    objective: Literal["next", "masked"] = Field(
        "next", description="training target of a position: the next item, or the item masked there"
    )
    head: Literal["state", "core"] = Field(
        "state", description="session vector: the newest state, or CORE's weighted sum of the history"
    )
    core_temperature: float = Field(0.07, gt=0, description="core: tau, divisor of the cosines")
    features: Literal["none", "fused", "stream"] = Field(
        "none", description="item features: none, fused with items (SASRecF), or a separate stream (FDSA)"
    )
    feature_names: tuple[str, ...] = Field((), description="item features of the dataset to use")
    feature_sizes: tuple[int, ...] = Field((), description="number of values of each feature, without padding")
    feature_values: tuple[int, ...] = Field((), description="maximum values per item of each feature")

    @field_validator("hidden_pruning", "inner_pruning")
    @classmethod
    def _check_ratios(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        if not ratios or any(not 0 <= ratio < 1 for ratio in ratios) or len(set(ratios)) != len(ratios):
            raise ValueError(f"pruning ratios must be distinct numbers from 0 up to, not including, 1; got {ratios}")
        return tuple(sorted(ratios))

    @model_validator(mode="after")
    def _check_widths(self) -> SpaceConfig:
        if self.min_depth > self.layers:
            raise ValueError(f"min_depth={self.min_depth} is larger than layers={self.layers}")
        for ratio in self.hidden_pruning:
            kept = (1 - ratio) * self.hidden
            if abs(kept - round(kept)) > 1e-6 or round(kept) < 1 or round(kept) % self.heads:
                raise ValueError(
                    f"hidden_pruning={ratio} keeps {kept:g} of hidden={self.hidden} dimensions, which heads="
                    f"{self.heads} do not divide; choose another ratio, hidden or heads"
                )
        for ratio in self.inner_pruning:
            kept = (1 - ratio) * self.inner
            if abs(kept - round(kept)) > 1e-6 or round(kept) < 1:
                raise ValueError(
                    f"inner_pruning={ratio} keeps {kept:g} of inner={self.inner} dimensions: not a whole number"
                )
        return self

    @model_validator(mode="after")
    def _check_direction(self) -> SpaceConfig:
        if self.direction == "causal" and self.attention in BIDIRECTIONAL_ONLY:
            raise ValueError(
                f"attention={self.attention!r} mixes all positions and has no causal form: "
                "set direction='bidirectional', or choose another attention"
            )
        if self.direction == "causal" and self.objective == "masked":
            raise ValueError("objective='masked' needs both sides of a masked item: set direction='bidirectional'")
        return self

    @model_validator(mode="after")
    def _check_attention_dropout(self) -> SpaceConfig:
        if self.attention_dropout and self.attention not in SOFTMAX_NAMES:
            raise ValueError(
                f"attention={self.attention!r} has no attention weights to drop: remove attention_dropout, or choose "
                f"attention from {', '.join(sorted(SOFTMAX_NAMES))}"
            )
        return self

    @model_validator(mode="after")
    def _check_dropout_scaling(self) -> SpaceConfig:
        if self.dropout_scaling == "width" and self.head == "core" and len(self.hidden_pruning) > 1:
            raise ValueError(
                "head='core' drops the items of all candidates alike: remove dropout_scaling, or give one "
                "hidden_pruning"
            )
        return self

    @model_validator(mode="after")
    def _check_item_width(self) -> SpaceConfig:
        for name, value, plain in (("head", self.head, "state"), ("features", self.features, "none")):
            if self.item_width is not None and value != plain:
                raise ValueError(f"{name}={value!r} needs item embeddings as wide as the blocks: remove item_width")
        return self

    @model_validator(mode="after")
    def _check_objective(self) -> SpaceConfig:
        if self.objective == "masked" and self.head == "core":
            raise ValueError(
                "head='core' sums the items of the history, and a mask is not an item: set objective='next'"
            )
        for name, value in (("objective", self.objective), ("head", self.head)):
            if value in ("masked", "core") and self.features != "none":
                raise ValueError(f"{name}={value!r} does not support item features: set features='none'")
        return self

    @model_validator(mode="after")
    def _check_features(self) -> SpaceConfig:
        sizes, values, names = self.feature_sizes, self.feature_values, self.feature_names
        if self.features == "none":
            if sizes or values or names:
                raise ValueError("feature_names, feature_sizes and feature_values need features='fused' or 'stream'")
            return self
        if not self.is_fixed:
            raise ValueError(
                f"features={self.features!r} needs a space with nothing to choose: give one hidden_pruning, one "
                "inner_pruning, and min_depth equal to layers"
            )
        if not sizes or len(sizes) != len(values) or len(names) not in (0, len(sizes)):
            raise ValueError(
                f"features={self.features!r} needs feature_sizes and feature_values (and feature_names, if given) "
                f"with one number for each feature; got {len(sizes)}, {len(values)} (and {len(names)})"
            )
        if min(*sizes, *values) < 1:
            raise ValueError(f"feature_sizes={sizes} and feature_values={values} must be 1 or more")
        return self

    @property
    def candidates(self) -> tuple[tuple[float, float], ...]:
        """The m pairs (hidden_pruning, inner_pruning), largest candidate first."""
        return tuple((hidden, inner) for hidden in self.hidden_pruning for inner in self.inner_pruning)

    @property
    def depths(self) -> tuple[int, ...]:
        """Numbers of layers to choose from, smallest first."""
        return tuple(range(self.min_depth, self.layers + 1))

    @property
    def window(self) -> int:
        """Maximum number of positions: N, plus one for the mask if items are masked."""
        return self.max_length + (self.objective == "masked")

    @property
    def mask_token(self) -> int:
        """Item number of the mask, one after the last item; never scored."""
        return self.n_items + 1

    @property
    def is_fixed(self) -> bool:
        """Whether the space has only one architecture."""
        return len(self.candidates) == 1 and len(self.depths) == 1

    @property
    def largest(self) -> Choice:
        """Unpruned architecture with all layers."""
        return Choice(hidden_pruning=self.hidden_pruning[0], inner_pruning=self.inner_pruning[0], depth=self.layers)

    @property
    def smallest(self) -> Choice:
        """Most pruned architecture with the fewest layers."""
        return Choice(
            hidden_pruning=self.hidden_pruning[-1], inner_pruning=self.inner_pruning[-1], depth=self.min_depth
        )

    def architectures(self) -> list[Choice]:
        """List every architecture of the space: largest candidate first, depths ascending."""
        return [
            Choice(hidden_pruning=hidden, inner_pruning=inner, depth=depth)
            for hidden, inner in self.candidates
            for depth in self.depths
        ]

    def has_gates(self, layer: int) -> bool:
        """Whether a layer, counted from 1, has data-aware gates (Eq. 8)."""
        return self.gate_layers > 0 and layer >= self.gates_from

    def hidden_width(self, hidden_pruning: float) -> int:
        """Number of kept hidden dimensions, (1 - gamma_i) d."""
        return round((1 - hidden_pruning) * self.hidden)

    def inner_width(self, inner_pruning: float) -> int:
        """Number of kept inner dimensions, (1 - gamma'_i) D."""
        return round((1 - inner_pruning) * self.inner)

    def scaled_dropout(self, rate: float, width: int) -> float:
        """Dropout of a candidate of a hidden width, for the rate of the unpruned one."""
        return rate * width / self.hidden if self.dropout_scaling == "width" else rate

    def choice(self, architecture: Choice | dict[str, Any]) -> Choice:
        """Check that an architecture belongs to this space.

        Parameters
        ----------
        architecture
            :class:`Choice`, dictionary of its fields, or NNI's sample ``{"pruning": label, "depth": n}``.

        Raises
        ------
        ValueError
            A value is not in the space; the message lists the options.
        """
        if isinstance(architecture, dict):
            if "pruning" in architecture:
                label = str(architecture["pruning"])
                # Look up the label first: it only has six digits of ratios such as 1/3.
                candidates = {candidate_label(*candidate): candidate for candidate in self.candidates}
                hidden, inner = candidates[label] if label in candidates else parse_candidate_label(label)
                rest = {name: value for name, value in architecture.items() if name != "pruning"}
                architecture = {"hidden_pruning": hidden, "inner_pruning": inner} | rest
            architecture = Choice.model_validate(architecture)
        for name, allowed in (
            ("hidden_pruning", self.hidden_pruning),
            ("inner_pruning", self.inner_pruning),
            ("depth", self.depths),
        ):
            value = getattr(architecture, name)
            if not any(abs(value - option) < 1e-9 for option in allowed):
                raise ValueError(f"{name}={value} is not in this space; choose from {', '.join(map(str, allowed))}")
        return architecture

    def compact(self, architecture: Choice | dict[str, Any]) -> SpaceConfig:
        """Configuration of the fixed network of one architecture."""
        choice = self.choice(architecture)
        width = self.hidden_width(choice.hidden_pruning)
        attention = self.attention_dropout
        return self.model_copy(
            update={
                "hidden": width,
                "dropout": self.scaled_dropout(self.dropout, width),
                "attention_dropout": None if attention is None else self.scaled_dropout(attention, width),
                "dropout_scaling": "none",
                "inner": self.inner_width(choice.inner_pruning),
                "layers": choice.depth,
                "min_depth": choice.depth,
                "hidden_pruning": (0.0,),
                "inner_pruning": (0.0,),
                "supernet": "independent",
            }
        )
