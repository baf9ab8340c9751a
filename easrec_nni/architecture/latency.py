"""Latency file of a device: times of a space's parts, whose sums predict the latency of every architecture.

``easrec profile`` measures the parts (:mod:`easrec_nni.bench.latency`); reading the file and predicting need no torch.
A network of L layers takes the time of its embedding and scoring, L - 1 times that of a layer, and that of the last
layer, which inference computes at the newest position only. Parts are known by their widths in dimensions, so that one
file serves every space that is built of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from easrec_nni.architecture.schema import DatasetReference
from easrec_nni.common.documents import Document, ResultDocument, read_document
from easrec_nni.common.errors import UserError
from search_spaces.config import Choice, SpaceConfig

__all__ = [
    "CheckedLatency",
    "EmbeddingLatency",
    "LatencyCheck",
    "LatencyFile",
    "LayerLatency",
    "MeasuredNetwork",
    "Milliseconds",
    "latency_table",
]

# Fields that change no time, or that say which parts an architecture has; parts are looked up by their widths.
FREE_FIELDS = frozenset(
    ("layers", "min_depth", "hidden", "inner", "hidden_pruning", "inner_pruning", "gate_layers", "gates_from")
    + ("gate_scale", "dropout", "supernet", "core_temperature", "feature_names")
)


class Milliseconds(Document):
    """Milliseconds per user: median and range over the turns of a measurement."""

    median: float = Field(ge=0)
    min: float = Field(ge=0)
    max: float = Field(ge=0)


class EmbeddingLatency(Document):
    """Time of the embedding and of scoring all items, at one hidden width."""

    hidden: int = Field(ge=1)
    ms_per_user: float = Field(ge=0)


class LayerLatency(Document):
    """Time that a layer of these widths adds to a network, at all positions and as the last layer."""

    hidden: int = Field(ge=1)
    inner: int = Field(ge=1)
    gates: bool
    layer_ms_per_user: float = Field(ge=0)
    last_layer_ms_per_user: float = Field(ge=0)


class MeasuredNetwork(Document):
    """Network whose scoring was timed to find the time of its parts."""

    hidden: int = Field(ge=1)
    inner: int = Field(ge=1)
    layers: int = Field(ge=0)
    gates: bool
    ms_per_user: Milliseconds


class CheckedLatency(Document):
    """Predicted and measured latency of one architecture."""

    choices: Choice
    predicted_ms_per_user: float = Field(ge=0)
    measured_ms_per_user: Milliseconds
    relative_error: float


class LatencyCheck(Document):
    """Predictions against the end-to-end times of architectures that were measured in the same turns."""

    architectures: tuple[CheckedLatency, ...]
    median_relative_error: float = Field(ge=0)
    largest_relative_error: float = Field(ge=0)


class LatencyFile(ResultDocument):
    """Contents of a latency file.

    Attributes
    ----------
    space
        Space whose parts were measured.
    dataset
        Dataset whose test users were scored.
    device
        Kind of device, such as ``cpu``.
    batch
        Users per batch.
    users, mean_history
        Number of timed users, and their mean number of visible interactions.
    test_users, mean_test_history
        The same figures of all test users.
    threads
        Number of torch's threads.
    clock
        Wall clock, or processor time of one thread, which other load on the machine hardly changes.
    turns
        Number of timed turns.
    embedding_and_scoring, layers
        Times of the parts.
    measured
        Times that the parts were computed from.
    check
        Predictions against end-to-end times.
    machine, load_average
        Description of the machine, and its load before and after.
    """

    schema_version: Literal[1]
    space: SpaceConfig
    dataset: DatasetReference
    device: str
    batch: int = Field(ge=1)
    users: int = Field(ge=1)
    mean_history: float = Field(ge=0)
    test_users: int = Field(ge=1)
    mean_test_history: float = Field(ge=0)
    threads: int = Field(ge=1)
    clock: Literal["wall", "processor"]
    turns: int = Field(ge=1)
    embedding_and_scoring: tuple[EmbeddingLatency, ...]
    layers: tuple[LayerLatency, ...]
    measured: tuple[MeasuredNetwork, ...] = ()
    check: LatencyCheck | None = None
    machine: dict[str, Any] = {}
    load_average: dict[str, list[float]] = {}

    @classmethod
    def read(cls, path: str | Path, space: SpaceConfig | None = None) -> LatencyFile:
        """Read a latency file.

        Parameters
        ----------
        path
            File that ``easrec profile`` wrote, on this or another device.
        space
            Space that it is to be used for; any by default.

        Raises
        ------
        UserError
            The file is missing or damaged, or lacks parts of the space.
        """
        remedy = "`easrec profile DATASET --settings FILE --out FILE` writes one"
        document = read_document(Path(path), cls, remedy)
        if space is not None:
            try:
                latency_table(document, space)
            except UserError as error:
                raise UserError(f"{path}: {error.message}; {remedy}") from None
        return document

    def predict(self, choice: Choice, space: SpaceConfig | None = None) -> float:
        """Predict ``latency_ms_per_user`` of an architecture.

        Parameters
        ----------
        choice
            Architecture of the space.
        space
            Space of the architecture; the measured one by default.

        Raises
        ------
        UserError
            The file is of another space: a part of the architecture was not measured.
        ValueError
            The architecture is not of the space.
        """
        space = space or self.space
        self._check(space)
        network = space.compact(choice)
        embedding = [part for part in self.embedding_and_scoring if part.hidden == network.hidden]
        if not embedding:
            raise UserError(f"the latency file is of another space: it has no network of width {network.hidden}")
        layers = [self._layer(space, network, number) for number in range(1, network.layers + 1)]
        return (
            embedding[0].ms_per_user
            + sum(layer.layer_ms_per_user for layer in layers[:-1])
            + layers[-1].last_layer_ms_per_user
        )

    def _layer(self, space: SpaceConfig, network: SpaceConfig, number: int) -> LayerLatency:
        gates = space.has_gates(number)
        for part in self.layers:
            if (part.hidden, part.inner, part.gates) == (network.hidden, network.inner, gates):
                return part
        raise UserError(
            f"the latency file is of another space: it has no layer of hidden width {network.hidden} and inner width "
            f"{network.inner} {'with' if gates else 'without'} gates"
        )

    def _check(self, space: SpaceConfig) -> None:
        """Raise unless all fields that decide a part's time are equal."""
        fields = [name for name in SpaceConfig.model_fields if name not in FREE_FIELDS]
        if space.gate_layers and self.space.gate_layers:
            fields.append("gate_layers")
        for name in fields:
            measured, asked = getattr(self.space, name), getattr(space, name)
            if measured != asked:
                raise UserError(
                    f"the latency file is of another space: it was measured with {name}={measured!r}, and this space "
                    f"has {asked!r}"
                )


def latency_table(document: LatencyFile, space: SpaceConfig) -> dict[str, dict[int, float]]:
    """Predicted milliseconds per user of every architecture of a space.

    Parameters
    ----------
    document
        Times of the parts.
    space
        Space of the architectures.

    Returns
    -------
    dict
        ``table[candidate_label][depth]``, in the form of :func:`~easrec_nni.architecture.cost.cost_table`.

    Raises
    ------
    UserError
        The file is of another space.
    """
    table: dict[str, dict[int, float]] = {}
    for choice in space.architectures():
        table.setdefault(choice.label, {})[choice.depth] = document.predict(choice, space)
    return table
