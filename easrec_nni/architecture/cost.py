"""What an architecture costs: multiply-adds counted by fvcore, parameters, bytes.

1. A multiply-add is one multiplication and one addition; a linear layer n×d → D has n·d·D of them. Twice the number
   would be FLOPs. This convention holds everywhere in the project.
2. Matrix products are counted. Norms, activations, sums, lookups are not: they are on the explicit list
   :data:`NEGLIGIBLE`, and an operator that is neither counted nor on the list is an error, so that nothing costly is
   silently free. fvcore by itself counts nothing for ``scaled_dot_product_attention``. (CORE's normalisation of the
   items' vectors is elementwise too; it depends on no user.)
3. fvcore rests on TorchScript tracing and has had no release since 2022: it is used in :func:`_count` alone.

To add a cost: a field of :class:`Cost` with its unit in its name, filled in :func:`architecture_cost`.
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
        # elementwise, O(B N d), but for CORE's item vectors, O(items d)
        "add add_ sub mul mul_ div neg abs square pow sqrt rsqrt exp sigmoid relu gelu elu dropout clamp clamp_min "
        "bitwise_and __and__ __or__ bitwise_or bitwise_not logical_not ne eq gt lt le ge where masked_fill softmax "
        # reductions over one axis, O(B N d)
        "sum cumsum linalg_vector_norm norm any argmax max flip "
        # lookups, copies and shapes
        "embedding embedding_bag gather index index_select ones ones_like zeros zeros_like eye full full_like tril "
        "arange expand expand_as repeat pad cat stack numpy_T numel"
    ).split()
)
"""Operators that are left out of the count on purpose."""

# Where a network's blocks are, those of a feature stream included, and what else it does with item features.
STACKS = ("network.layers.blocks", "network.layers.features.blocks")
FEATURE_MODULES = ("network.embedding.features", "network.layers.join")


class UncountedOperatorError(RuntimeError):
    """An operator that is neither counted nor known to be negligible."""


def _sdpa_madds(inputs: list[Any], outputs: list[Any]) -> int:
    """Multiply-adds of scaled_dot_product_attention: N_q N_k (d_k + d_v) per head and sequence."""
    query, key, value = (tensor.type().sizes() for tensor in inputs[:3])
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


class _Call(nn.Module):
    """A network with another of its functions as forward, for tracing."""

    def __init__(self, network: EASRecNetwork, function: Callable[[EASRecNetwork, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.function = network, function

    def forward(self, ids: Tensor) -> Tensor:
        return self.function(self.network, ids)


def _count(network: EASRecNetwork, ids: Tensor, function: Callable[[EASRecNetwork, Tensor], Tensor]) -> dict[str, int]:
    """Multiply-adds by module name (children included; "" is all) of one call: the adapter to fvcore."""
    analysis = FlopCountAnalysis(_Call(network, function).eval(), (ids,))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle("aten::scaled_dot_product_attention", _sdpa_madds)
    # fvcore counts 5 per element. No matrix product; a handle of None would not switch the built-in one off.
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
        Multiply-adds of all layers at all positions, without and of the gates.
    feature_madds_per_user
        Multiply-adds of bringing item features and items together, before or after the layers.
    scoring_madds_per_user
        Multiply-adds of scoring all items from the newest position, and of CORE's weights of the positions.
    madds_per_user
        The four together: the nominal figure, which the constraint uses.
    executed_madds_per_user
        What inference really executes: the last layer computes the newest position only.
    parameters
        All weights.
    embedding_bytes
        Item, position and feature embeddings in float32.
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
    """Cost of one architecture of a space: the one function that decides it.

    Parameters
    ----------
    config
        The space; ``max_length`` and ``n_items`` are the sizes that are counted for.
    choice
        The architecture.

    Raises
    ------
    UncountedOperatorError
        The network uses an operator whose cost is not known.
    """
    with torch.device("meta"):  # shapes are all that counting needs: no memory for a large catalogue
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
    """Normalised cost by candidate label and depth, as a strategy's constraint takes it; the largest architecture is 1.

    Parameters
    ----------
    config
        The space.
    form
        ``cumulative``: everything that is executed when the network ends after a layer, gates and scoring included.
        ``printed``: Eq. 15 as it stands, the cost of that one layer. The expectation over depths is then constant
        but for what tells layers apart: gates, which the layers before ``gates_from`` do not have. With gates from
        layer 2 the first layer alone is cheaper (MovieLens-100K's unpruned space: .178 against .271 of each other one).

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
