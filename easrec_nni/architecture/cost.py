"""Cost of an architecture: multiply-adds counted with fvcore, parameters, bytes.

1. A multiply-add is one multiplication and one addition; a linear layer n×d → D has n·d·D of them. FLOPs are
   twice that. The whole project counts this way.
2. Only matrix products are counted. Norms, activations, sums and lookups are on the explicit list :data:`NEGLIGIBLE`;
   any other operator is an error, so that nothing costly is silently free. fvcore alone would count nothing for
   ``scaled_dot_product_attention``. (CORE's normalisation of item vectors is elementwise too, and per item.)
3. fvcore uses TorchScript tracing and has had no release since 2022, so that only :func:`_count` depends on it.

A new cost is a field of :class:`Cost` with the unit in its name, computed in :func:`architecture_cost`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from search_spaces import Choice, EASRecNetwork, SpaceConfig

__all__ = ["NEGLIGIBLE", "Cost", "UncountedOperatorError", "architecture_cost", "cost_table"]

NEGLIGIBLE = frozenset(
    f"aten::{name}"
    for name in (
        # elementwise, O(B N d), except for CORE's item vectors, O(items d)
        "add add_ sub rsub mul mul_ div neg abs square pow sqrt rsqrt exp sigmoid relu gelu silu elu dropout "
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
    """Cost of one architecture for one user with a full history of ``max_length`` interactions.

    Attributes
    ----------
    block_madds_per_user, gate_madds_per_user
        Multiply-adds of all layers at all positions: without the gates, and of the gates.
    feature_madds_per_user
        Multiply-adds of combining item features with items, before or after the layers.
    scoring_madds_per_user
        Multiply-adds of scoring all items from the newest position, and of CORE's position weights.
    madds_per_user
        Sum of the four above: the nominal figure, used by the constraint.
    executed_madds_per_user
        Multiply-adds executed in inference, where the last layer computes only the newest position.
    parameters
        Number of weights.
    embedding_bytes
        Bytes of item, position and feature embeddings in float32.
    """

    block_madds_per_user: int
    gate_madds_per_user: int
    feature_madds_per_user: int
    scoring_madds_per_user: int
    madds_per_user: int
    executed_madds_per_user: int
    parameters: int
    embedding_bytes: int

    def as_dict(self) -> dict[str, float]:
        """All figures by name."""
        return {name: float(value) for name, value in asdict(self).items()}


def _nominal(network: EASRecNetwork, ids: Tensor) -> Tensor:
    return network.score(network.states(network.prompt(ids))[:, -1])


def _executed(network: EASRecNetwork, ids: Tensor) -> Tensor:
    return network.score(network.newest_state(ids))


@lru_cache(maxsize=4096)
def architecture_cost(config: SpaceConfig, choice: Choice) -> Cost:
    """Cost of one architecture of a space.

    Parameters
    ----------
    config
        Search space; costs are counted at its ``max_length`` and ``n_items``.
    choice
        Architecture of the space.

    Raises
    ------
    UncountedOperatorError
        The network uses an operator of unknown cost.
    """
    with torch.device("meta"):  # counting needs only shapes, so that a large catalogue takes no memory
        network = EASRecNetwork(config.compact(choice))
        ids = torch.ones(1, config.max_length, dtype=torch.long)
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
        executed_madds_per_user=_count(network, ids, _executed)[""],
        parameters=sum(weight.numel() for weight in network.parameters()),
        embedding_bytes=embeddings,
    )


def cost_table(
    config: SpaceConfig, form: Literal["cumulative", "printed"] = "cumulative"
) -> dict[str, dict[int, float]]:
    """Cost by candidate label and depth for a strategy's constraint; the largest network is 1.

    Parameters
    ----------
    config
        Search space.
    form
        ``cumulative``: cost of the whole network that ends after a layer, with gates and scoring. ``printed``: Eq. 15
        as printed, the cost of that layer only. The expectation over depths is then constant except for gates, which
        layers before ``gates_from`` lack: with gates from layer 2 only the first layer is cheaper (MovieLens-100K's
        unpruned space: .178 against .271 for each other layer).

    Returns
    -------
    dict
        ``table[candidate_label][depth]``.
    """
    largest = architecture_cost(config, config.largest).madds_per_user
    table: dict[str, dict[int, float]] = {}
    for choice in config.architectures():
        cost = architecture_cost(config, choice)
        if form == "cumulative":
            value = cost.madds_per_user
        else:
            before = choice.model_copy(update={"depth": choice.depth - 1})
            shallower = config.model_copy(update={"min_depth": 1})
            earlier = architecture_cost(shallower, before) if before.depth else None
            value = _layers(cost) - (_layers(earlier) if earlier else 0)
        table.setdefault(choice.label, {})[choice.depth] = value / largest
    return table


def _layers(cost: Cost) -> int:
    return cost.block_madds_per_user + cost.gate_madds_per_user
