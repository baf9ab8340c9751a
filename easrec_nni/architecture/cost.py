"""Cost of an architecture: multiply-adds counted with fvcore, parameters, bytes.

1. A multiply-add is one multiplication and one addition; a linear layer n×d → D has n·d·D of them. FLOPs are
   twice that. The whole project counts this way.
2. Only matrix products are counted. Norms, activations, sums and lookups are on the explicit list :data:`NEGLIGIBLE`;
   any other operator is an error, so that nothing costly is silently free. fvcore alone would count nothing for
   ``scaled_dot_product_attention``. (CORE's normalisation of item vectors is elementwise too, and per item.)
3. fvcore uses TorchScript tracing and has had no release since 2022, so that only :func:`_count` depends on it.

4. A full window is the nominal case. What inference executes on a dataset's histories is counted at their lengths
   (:class:`.HistoryLengths`). :mod:`easrec_nni.architecture.cost_kinds` names what a search can weigh or bound.

A new cost is a field of :class:`Cost` with the unit in its name, computed in :func:`architecture_cost`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from easrec_nni.architecture.cost_kinds import COST_FIGURES, CostKind
from easrec_nni.architecture.history_lengths import HistoryLengths
from search_spaces import Choice, EASRecNetwork, SpaceConfig
from search_spaces.attention import CHUNK

__all__ = [
    "NEGLIGIBLE",
    "Cost",
    "UncountedOperatorError",
    "architecture_cost",
    "cost_table",
    "executed_madds",
    "executed_on",
    "normalised_table",
]

NEGLIGIBLE = frozenset(
    f"aten::{name}"
    for name in (
        # elementwise, O(B N d), except for CORE's item vectors, O(items d)
        "add add_ sub rsub mul mul_ div neg abs square pow sqrt rsqrt exp sigmoid relu gelu elu dropout "
        "log clamp clamp_min bitwise_and __and__ __or__ bitwise_or bitwise_not logical_not ne eq gt lt le ge where "
        "masked_fill softmax "
        # reductions over one axis, O(B N d)
        "sum cumsum linalg_vector_norm norm any argmax max flip "
        # lookups, copies and shapes
        "embedding embedding_bag gather index index_select ones ones_like zeros zeros_like eye full full_like tril "
        "arange expand expand_as repeat pad cat stack numpy_T numel"
    ).split()
)
"""Operators that are deliberately not counted."""

# Module paths of the blocks, including those of a feature stream, and of other work on item features.
STACKS = ("network.layers.blocks", "network.layers.features.blocks")
FEATURE_MODULES = ("network.embedding.features", "network.layers.join")


class UncountedOperatorError(RuntimeError):
    """Raised for an operator that is neither counted nor listed as negligible."""


def _sdpa_madds(inputs: list[Any], outputs: list[Any]) -> int:
    """Multiply-adds of scaled_dot_product_attention: N_q N_k (d_k + d_v) per head and sequence."""
    query, key, value = (tensor.type().sizes() for tensor in inputs[:3])
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


class _Call(nn.Module):
    """Module whose forward calls a function of a network, for tracing."""

    def __init__(self, network: EASRecNetwork, function: Callable[[EASRecNetwork, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.function = network, function

    def forward(self, ids: Tensor) -> Tensor:
        return self.function(self.network, ids)


def _count(network: EASRecNetwork, ids: Tensor, function: Callable[[EASRecNetwork, Tensor], Tensor]) -> dict[str, int]:
    """Count multiply-adds of one call with fvcore, by module name ("" is the total)."""
    analysis = FlopCountAnalysis(_Call(network, function).eval(), (ids,))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle("aten::scaled_dot_product_attention", _sdpa_madds)
    # Not a matrix product, but fvcore counts 5 per element; a handle of None would not disable that.
    analysis.set_op_handle("aten::layer_norm", lambda inputs, outputs: 0)
    counts = {name: int(count) for name, count in analysis.by_module().items()}
    unknown = set(analysis.unsupported_ops()) - NEGLIGIBLE
    if unknown:
        raise UncountedOperatorError(
            f"{', '.join(sorted(unknown))} would be counted as free; give it a handle in "
            "easrec_nni/architecture/cost.py, or add it to NEGLIGIBLE with the reason"
        )
    return counts


@dataclass(frozen=True)
class Cost:
    """Cost of one architecture for one user, with a full history of ``max_length`` interactions unless named otherwise.

    Attributes
    ----------
    block_madds_per_user, gate_madds_per_user
        Multiply-adds of all layers at all positions: without the gates, and of the gates.
    feature_madds_per_user
        Multiply-adds of combining item features with items, before or after the layers.
    scoring_madds_per_user
        Multiply-adds of scoring all items from the newest position, of CORE's position weights, and of the projections
        from and to the width of the items (``item_width``).
    madds_per_user
        Sum of the four above: the nominal figure.
    executed_madds_per_user
        Multiply-adds executed in inference, where the last layer computes only the newest position.
    parameters
        Number of weights.
    embedding_bytes
        Bytes of item, position and feature embeddings in float32.
    executed_madds_per_user_on_histories
        Mean over a dataset's evaluated users of the multiply-adds executed on their histories at their own lengths;
        None without a dataset. Padding is not counted: inference sorts users by length and pads little.
    latency_ms_per_user
        Milliseconds that a device's latency file predicts (:meth:`.LatencyFile.predict`); None without a file.
    """

    block_madds_per_user: int
    gate_madds_per_user: int
    feature_madds_per_user: int
    scoring_madds_per_user: int
    madds_per_user: int
    executed_madds_per_user: int
    parameters: int
    embedding_bytes: int
    executed_madds_per_user_on_histories: float | None = None
    latency_ms_per_user: float | None = None

    def as_dict(self) -> dict[str, float]:
        """All figures by name, without those that are None."""
        return {name: float(value) for name, value in asdict(self).items() if value is not None}


def _nominal(network: EASRecNetwork, ids: Tensor) -> Tensor:
    return network.score(network.states(network.prompt(ids))[:, -1])


def _executed(network: EASRecNetwork, ids: Tensor) -> Tensor:
    return network.score(network.newest_state(ids))


def _ids(length: int) -> Tensor:
    """History of a length: its items do not matter, and memory is not needed."""
    return torch.ones(1, length, dtype=torch.long, device="meta")


def _network(config: SpaceConfig, choice: Choice) -> EASRecNetwork:
    with torch.device("meta"):  # counting needs only shapes, so that a large catalogue takes no memory
        return EASRecNetwork(config.compact(choice))


@lru_cache(maxsize=4096)
def architecture_cost(config: SpaceConfig, choice: Choice, histories: HistoryLengths | None = None) -> Cost:
    """Cost of one architecture of a space.

    Parameters
    ----------
    config
        Search space; costs are counted at its ``max_length`` and ``n_items``.
    choice
        Architecture of the space.
    histories
        Lengths of a dataset's histories, for the figure on them.

    Raises
    ------
    UncountedOperatorError
        The network uses an operator of unknown cost.
    """
    if histories is not None:
        mean = executed_on(config, choice, histories)
        return replace(architecture_cost(config, choice), executed_madds_per_user_on_histories=mean)
    network, ids = _network(config, choice), _ids(config.max_length)
    counts = _count(network, ids, _nominal)
    gates = sum(count for name, count in counts.items() if name.endswith(("hidden_gate", "inner_gate")))
    layers = sum(count for name, count in counts.items() if name.rpartition(".")[0] in STACKS)
    features = sum(counts.get(name, 0) for name in FEATURE_MODULES)
    lookups = ("embedding.items.", "embedding.positions.", "embedding.features.fields.")
    embeddings = sum(weight.numel() * 4 for name, weight in network.named_parameters() if name.startswith(lookups))
    return Cost(
        block_madds_per_user=layers - gates,
        gate_madds_per_user=gates,
        feature_madds_per_user=features,
        scoring_madds_per_user=counts[""] - layers - features,
        madds_per_user=counts[""],
        executed_madds_per_user=_counted_at(config, choice, config.max_length),
        parameters=sum(weight.numel() for weight in network.parameters()),
        embedding_bytes=embeddings,
    )


@lru_cache(maxsize=1 << 16)
def _counted_at(config: SpaceConfig, choice: Choice, length: int) -> int:
    """Multiply-adds executed on a history of a length, counted with fvcore."""
    return _count(_network(config, choice), _ids(length), _executed)[""]


def executed_madds(config: SpaceConfig, choice: Choice, length: int) -> int:
    """Multiply-adds that inference executes on one history.

    Within a piece of lengths the figure is a polynomial of at most second degree: projections, gates and linear
    attention are linear in the length, softmax attention and the inside of a chunk of causal linear attention
    (:data:`~search_spaces.attention.CHUNK`) are quadratic. Three lengths of a piece are therefore counted, and give the
    others exactly by Newton's divided differences. A single interaction is a piece of its own: its only query sees its
    only key, which linear attention computes in the other order.

    Parameters
    ----------
    config
        Search space.
    choice
        Architecture of the space.
    length
        Interactions in the history, from 1 to ``max_length``.

    Examples
    --------
    >>> config = SpaceConfig(n_items=9, max_length=50, hidden=8, inner=16, heads=2, layers=2)
    >>> executed_madds(config, config.largest, 50) == architecture_cost(config, config.largest).executed_madds_per_user
    True
    """
    if not 1 <= length <= config.max_length:
        raise ValueError(f"a history has 1 to {config.max_length} interactions, not {length}")
    # Chunks hold positions, of which a masked network has one more; only causal attention is cut into them.
    size = CHUNK if config.direction == "causal" else config.max_length
    begin = (length - 1) // size * size  # lengths begin + 1 to begin + size
    first, last = max(2, begin + 1), min(begin + size, config.max_length)
    if length == 1 or last - first < 3:
        return _counted_at(config, choice, length)
    nodes = (first, (first + last) // 2, last)
    low, middle, high = (_counted_at(config, choice, node) for node in nodes)
    slope = Fraction(middle - low, nodes[1] - nodes[0])
    bend = (Fraction(high - middle, nodes[2] - nodes[1]) - slope) / (nodes[2] - nodes[0])
    value = low + slope * (length - nodes[0]) + bend * (length - nodes[0]) * (length - nodes[1])
    assert value.denominator == 1, f"{value} multiply-adds at length {length}: not a polynomial of second degree"
    return int(value)


def executed_on(config: SpaceConfig, choice: Choice, histories: HistoryLengths) -> float:
    """Mean over the users of histories of the multiply-adds executed on them."""
    lengths = histories.users_by_length
    return sum(users * executed_madds(config, choice, length) for length, users in lengths) / histories.users


def cost_table(
    config: SpaceConfig,
    form: Literal["cumulative", "printed"] = "cumulative",
    kind: CostKind = "nominal",
    histories: HistoryLengths | None = None,
) -> dict[str, dict[int, float]]:
    """Cost by candidate label and depth for a strategy's constraint; the largest network is 1.

    Parameters
    ----------
    config
        Search space.
    form
        ``cumulative``: cost of the whole network that ends after a layer, with gates and scoring. ``printed``: Eq. 15
        as printed, the nominal cost of that layer only. The expectation over depths is then constant except for gates,
        which layers before ``gates_from`` lack: with gates from layer 2 only the first layer is cheaper
        (MovieLens-100K's unpruned space: .178 against .271 for each other layer).
    kind
        Cost of the cumulative form, a key of :data:`COST_FIGURES`.
    histories
        Lengths of the dataset's histories, which the executed cost needs.

    Returns
    -------
    dict
        ``table[candidate_label][depth]``.
    """
    if form == "cumulative":

        def cost(choice: Choice) -> float:
            if kind == "executed":
                assert histories is not None
                return executed_on(config, choice, histories)
            return architecture_cost(config, choice).as_dict()[COST_FIGURES[kind]]

        return normalised_table(config, cost)
    largest = architecture_cost(config, config.largest).madds_per_user
    table: dict[str, dict[int, float]] = {}
    for choice in config.architectures():
        before = choice.model_copy(update={"depth": choice.depth - 1})
        shallower = config.model_copy(update={"min_depth": 1})
        earlier = architecture_cost(shallower, before) if before.depth else None
        layer = _layers(architecture_cost(config, choice)) - (_layers(earlier) if earlier else 0)
        table.setdefault(choice.label, {})[choice.depth] = layer / largest
    return table


def normalised_table(config: SpaceConfig, cost: Callable[[Choice], float]) -> dict[str, dict[int, float]]:
    """Cost of every architecture of a space by candidate label and depth; the largest network is 1."""
    largest = cost(config.largest)
    table: dict[str, dict[int, float]] = {}
    for choice in config.architectures():
        table.setdefault(choice.label, {})[choice.depth] = cost(choice) / largest
    return table


def _layers(cost: Cost) -> int:
    return cost.block_madds_per_user + cost.gate_madds_per_user
