"""Costs against closed formulas of every candidate and depth."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from easrec_nni.architecture import cost as cost_module
from easrec_nni.architecture.cost import UncountedOperatorError, architecture_cost, cost_table, executed_madds
from easrec_nni.architecture.cost_kinds import COST_FIGURES
from easrec_nni.architecture.history_lengths import HistoryLengths
from search_spaces import Choice, EASRecNetwork, EASRecSpace, SpaceConfig, candidate_label
from search_spaces import attention as attention_module
from search_spaces.attention import ATTENTIONS, CHUNK
from search_spaces.config import BIDIRECTIONAL_ONLY

N_ITEMS = 30
SPACE: dict[str, Any] = {"n_items": N_ITEMS, "max_length": 10, "hidden": 16, "inner": 32, "heads": 2, "layers": 3}
# Every architecture is counted by tracing it, which takes a tenth of a second: one space with all of them, ...
FULL: dict[str, dict[str, Any]] = {"default": {}}
# ... and others with a few.
FEW: dict[str, Any] = {"layers": 2, "hidden_pruning": [0, 0.5], "inner_pruning": [0.25]}
SPACES: dict[str, dict[str, Any]] = {
    f"{attention}, {direction}, {length} positions": {
        "attention": attention,
        "direction": direction,
        "max_length": length,
        "gate_layers": place % 3,
    }
    for place, (attention, length) in enumerate(product(ATTENTIONS, (10, 2 * CHUNK + 3)))
    for direction in ("causal", "bidirectional")
    if not (direction == "causal" and attention in BIDIRECTIONAL_ONLY) and (direction == "causal" or length == 10)
}
SPACES |= {
    "paper": {"direction": "bidirectional", "key_norm": "column"},
    "gates from layer 1": {"gates_from": 1, "direction": "bidirectional"},
    "one dense layer": {"gate_layers": 1},
    "no gates": {"gate_layers": 0, "key_norm": "column"},
    "longer than a chunk, column": {"max_length": CHUNK + 1, "key_norm": "column", "positions": "none"},
    "linformer of low rank": {"attention": "linformer", "direction": "bidirectional", "linformer_rank": 4},
    "masked": {"attention": "softmax", "objective": "masked", "direction": "bidirectional"},
    "masked, linformer": {"attention": "linformer", "objective": "masked", "direction": "bidirectional"},
    "core": {"head": "core", "gate_layers": 0},
    "core, bidirectional": {"head": "core", "direction": "bidirectional", "attention": "softmax"},
    "items of width 6": {"item_width": 6, "attention": "softmax"},
    "softmax, longer than a chunk": {"max_length": CHUNK + 1, "attention": "softmax", "embedding_norm": False},
}
SPACES = FULL | {name: FEW | options for name, options in SPACES.items()}


def positions_of(config: SpaceConfig) -> int:
    """Positions of a full history, and of the mask after it."""
    return config.max_length + (1 if config.objective == "masked" else 0)


def attention_madds(config: SpaceConfig, hidden: int, newest_only: bool) -> int:
    """Multiply-adds of all heads, without the projections."""
    length, width = positions_of(config), hidden // config.heads
    queries = 1 if newest_only else length
    if config.attention == "softmax":
        return 2 * queries * length * hidden
    if config.attention == "linformer":
        mixtures = min(config.linformer_rank, length)
        return 2 * (length + queries) * mixtures * hidden  # E K and F V, then Q times the one and that times the other
    if config.direction == "bidirectional" or newest_only:
        return (length + queries) * hidden * width  # K^T V, then Q times it
    sizes = [min(CHUNK, length - begin) for begin in range(0, length, CHUNK)]
    inside = sum(2 * size * size * hidden for size in sizes)  # Q K^T, its product with V; the upper triangle as well
    states = (sum(sizes[:-1]) + sum(sizes[1:])) * hidden * width  # K^T V for the chunks to come, Q times those before
    return inside + states


def layer_madds(config: SpaceConfig, layer: int, hidden: int, inner: int, newest_only: bool) -> tuple[int, int]:
    """Multiply-adds of one layer: (block, gates)."""
    length = positions_of(config)
    queries = 1 if newest_only else length
    projections = (2 * length + 2 * queries) * hidden * hidden  # keys and values; queries and W_O
    block = projections + 2 * queries * hidden * inner + attention_madds(config, hidden, newest_only)
    gates = 0
    if config.gate_layers and layer >= config.gates_from:
        crossing = 2 * hidden * hidden if config.gate_layers == 2 else 0
        gates = queries * (crossing + hidden * hidden + hidden * inner)
    return block, gates


def architecture_madds(config: SpaceConfig, choice: Choice, executed: bool) -> tuple[int, int, int]:
    """Multiply-adds of one architecture: (blocks, gates, scoring)."""
    hidden, inner = config.hidden_width(choice.hidden_pruning), config.inner_width(choice.inner_pruning)
    core = config.head == "core"  # weighs all positions of the last layer: it can leave none out
    layers = [
        layer_madds(config, layer, hidden, inner, executed and layer == choice.depth and not core)
        for layer in range(1, choice.depth + 1)
    ]
    scoring = (config.item_width or hidden) * (config.n_items + 1) + (config.max_length * hidden if core else 0)
    if config.item_width:  # projections of the items, and of the states that are scored
        states = 1 if executed else positions_of(config)
        scoring += (positions_of(config) + states) * config.item_width * hidden
    return sum(block for block, _ in layers), sum(gates for _, gates in layers), scoring


@pytest.mark.parametrize("options", SPACES.values(), ids=SPACES)
def test_multiply_adds_are_the_closed_formula_for_every_architecture(options: dict[str, Any]) -> None:
    config = SpaceConfig(**SPACE | options)
    for choice in config.architectures():
        cost = architecture_cost(config, choice)
        blocks, gates, scoring = architecture_madds(config, choice, executed=False)
        assert cost.block_madds_per_user == blocks
        assert cost.gate_madds_per_user == gates
        assert cost.scoring_madds_per_user == scoring
        assert cost.madds_per_user == blocks + gates + scoring
        assert cost.executed_madds_per_user == sum(architecture_madds(config, choice, executed=True))
        assert (cost.executed_madds_per_user < cost.madds_per_user) == (config.head != "core")


def test_formula_in_its_simplest_form() -> None:
    # One ungated bidirectional LinRec block: 4 N h^2 + 2 N h i + 2 N h (h / heads).
    config = SpaceConfig(**SPACE | {"direction": "bidirectional"})
    cost = architecture_cost(config, Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=1))
    n, h, i, heads = 10, 12, 16, 2
    assert cost.block_madds_per_user == 4 * n * h**2 + 2 * n * h * i + 2 * n * h * h // heads
    assert cost.gate_madds_per_user == 0
    assert cost.scoring_madds_per_user == h * (N_ITEMS + 1)


@pytest.mark.parametrize("attention, millions", [("linrec", 27.9), ("softmax", 36.5)])
def test_one_block_of_table_2_costs_what_was_computed_by_hand(attention: str, millions: float) -> None:
    # N = 200, d = 128, D = 256, 4 heads.
    config = SpaceConfig(n_items=3706, attention=attention, direction="bidirectional")
    cost = architecture_cost(config, Choice(hidden_pruning=0, inner_pruning=0, depth=1))
    exact = 4 * 200 * 128**2 + 2 * 200 * 128 * 256
    exact += 2 * 200 * 128 * 32 if attention == "linrec" else 2 * 200**2 * 128
    assert cost.block_madds_per_user == exact
    assert exact / 1e6 == pytest.approx(millions, rel=5e-3)


FIXED: dict[str, Any] = {"min_depth": 2, "layers": 2, "hidden_pruning": [0], "inner_pruning": [0], "gate_layers": 0}
# For each feature its values and the most that an item has.
FEATURE_SIZES = {"genres": ((19,), (6,)), "two": ((19, 5), (6, 1))}
MODELS = {"SASRec": "none", "SASRecF": "fused", "FDSA": "stream"}


@pytest.mark.parametrize("attention", ["softmax", "linrec"])
@pytest.mark.parametrize(
    "model, sizes", [("SASRec", None), *((m, s) for m in ("SASRecF", "FDSA") for s in FEATURE_SIZES)]
)
def test_sequence_models_are_their_closed_formulas(model: str, sizes: str | None, attention: str) -> None:
    options: dict[str, Any] = {**SPACE, **FIXED, "attention": attention}
    n, d, inner, layers = 10, 16, 32, 2
    number, values = 0, 0
    if sizes is not None:
        entries, most = FEATURE_SIZES[sizes]
        options |= {"features": MODELS[model], "feature_sizes": entries, "feature_values": most}
        number, values = len(entries), sum(entries) + len(entries)  # one row each for padding
    config = SpaceConfig(**options)
    cost = architecture_cost(config, config.largest)
    # Multiply-adds: of a block, and of one whose queries are the newest position alone.
    block = 4 * n * d * d + 2 * n * d * inner + attention_madds(config, d, newest_only=False)
    newest_block = 2 * n * d * d + 2 * d * d + 2 * d * inner + attention_madds(config, d, newest_only=True)
    streams = 2 if model == "FDSA" else 1
    before = {"SASRec": 0, "SASRecF": n * (1 + number) * d * d, "FDSA": n * number * (d * d + d)}[model]
    if model == "FDSA" and number == 1:
        before = 0  # nothing to weigh
    join = 2 * d * d if model == "FDSA" else 0  # of one position
    scoring = d * (N_ITEMS + 1)
    assert cost.block_madds_per_user == streams * layers * block
    assert cost.feature_madds_per_user == before + n * join
    assert (cost.gate_madds_per_user, cost.scoring_madds_per_user) == (0, scoring)
    assert cost.madds_per_user == streams * layers * block + before + n * join + scoring
    executed = streams * ((layers - 1) * block + newest_block) + before + join + scoring
    assert cost.executed_madds_per_user == executed
    # Parameters: both forms of attention have the same.
    tables = (N_ITEMS + 1 + n + values) * d
    per_block = 4 * d * (d + 1) + inner * (d + 1) + d * (inner + 1) + 4 * d
    fusing = {"SASRec": 0, "SASRecF": (1 + number) * d * d + d, "FDSA": 2 * d * d + d}[model]
    weighing = d * (d + 1) + d + 1 if model == "FDSA" and number > 1 else 0
    assert cost.parameters == tables + 2 * d + streams * layers * per_block + fusing + weighing
    assert cost.embedding_bytes == 4 * tables


@pytest.mark.parametrize("options", SPACES.values(), ids=SPACES)
def test_parameters_and_bytes_are_those_of_a_real_network(options: dict[str, Any]) -> None:
    config = SpaceConfig(**SPACE | options)
    space = EASRecSpace(config)
    for choice in (
        Choice(hidden_pruning=0, inner_pruning=0.25, depth=2),
        Choice(hidden_pruning=0.5, inner_pruning=0.25, depth=1),
    ):
        network, cost = space.freeze(choice), architecture_cost(config, choice)
        hidden, inner = config.hidden_width(choice.hidden_pruning), config.inner_width(choice.inner_pruning)
        assert cost.parameters == sum(weight.numel() for weight in network.parameters())
        # Written out as well: the network could be as wrong as the count.
        rows = config.n_items + (2 if config.objective == "masked" else 1)
        tables = rows * (config.item_width or hidden) + (2 * config.item_width * hidden if config.item_width else 0)
        tables += positions_of(config) * hidden if config.positions != "none" else 0
        tables += 2 * hidden if config.embedding_norm else 0
        tables += hidden if config.head == "core" else 0
        block = 4 * hidden * (hidden + 1) + inner * (hidden + 1) + hidden * (inner + 1) + 4 * hidden
        if config.attention == "linformer":
            block += 2 * positions_of(config) * min(config.linformer_rank, positions_of(config))
        gate = (hidden + inner) * (hidden + 1) + (2 * hidden * (hidden + 1) if config.gate_layers == 2 else 0)
        gated = max(0, choice.depth - config.gates_from + 1) if config.gate_layers else 0
        assert cost.parameters == tables + choice.depth * block + gated * gate
        lookups = [network.embedding.items, network.embedding.positions]
        stored = sum(table.weight.numel() * 4 for table in lookups if table is not None)
        assert cost.embedding_bytes == stored


def test_softmax_attention_is_not_free() -> None:
    # fvcore by itself counts nothing for scaled_dot_product_attention: then the two would cost the same.
    costs = {}
    for length in (16, 32):
        config = SpaceConfig(**SPACE | {"attention": "softmax", "max_length": length, "gate_layers": 0})
        cost = architecture_cost(config, config.largest)
        costs[length] = cost.block_madds_per_user - 3 * (4 * length * 16**2 + 2 * length * 16 * 32)
    assert costs[16] == 3 * 2 * 16**2 * 16
    assert costs[32] == 4 * costs[16]


def test_an_operator_that_is_neither_counted_nor_negligible_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_fft(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> Tensor:
        mixed = torch.fft.fft(value, dim=-2).real
        return mixed[:, :, -query.shape[-2] :]

    monkeypatch.setitem(ATTENTIONS, "fourier", with_fft)
    config = SpaceConfig(**SPACE, attention="fourier")
    with pytest.raises(UncountedOperatorError, match=r"aten::fft_fft.* would be counted as free; .*NEGLIGIBLE"):
        architecture_cost(config, config.largest)


@pytest.mark.parametrize("operator", ["elu", "cumsum", "layer_norm"])
def test_negligible_operators_are_an_explicit_list(operator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shorter = cost_module.NEGLIGIBLE - {f"aten::{operator}"}
    monkeypatch.setattr(cost_module, "NEGLIGIBLE", shorter)
    config = SpaceConfig(**SPACE, dropout=0.111)  # not yet counted: results are kept
    if operator == "layer_norm":  # has a handle that counts nothing
        assert architecture_cost(config, config.largest).madds_per_user > 0
    else:
        with pytest.raises(UncountedOperatorError, match=f"aten::{operator}"):
            architecture_cost(config, config.largest)


def test_counting_needs_no_memory_for_a_large_catalogue() -> None:
    config = SpaceConfig(**SPACE | {"n_items": 10**9})
    assert architecture_cost(config, config.largest).scoring_madds_per_user == 16 * (10**9 + 1)


def test_counting_leaves_random_numbers_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    config = SpaceConfig(**SPACE, dropout=0.222)
    architecture_cost(config, config.largest)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "options",
    [{}, FEW | {"min_depth": 2}, *(FEW | {"attention": name, "direction": "bidirectional"} for name in ATTENTIONS)],
    ids=str,
)
def test_table_is_the_cost_over_the_largest(options: dict[str, Any]) -> None:
    config = SpaceConfig(**SPACE | options)
    table = cost_table(config)
    assert list(table) == [candidate_label(*candidate) for candidate in config.candidates]
    largest = sum(architecture_madds(config, config.largest, executed=False))
    for choice in config.architectures():
        expected = sum(architecture_madds(config, choice, executed=False)) / largest
        assert table[choice.label][choice.depth] == pytest.approx(expected, rel=1e-12)
    assert table[config.largest.label][config.layers] == 1
    assert all(0 < cost <= 1 for row in table.values() for cost in row.values())
    for row in table.values():
        assert tuple(row) == config.depths
        assert list(row.values()) == sorted(row.values())
        assert len(set(row.values())) == len(row)


@pytest.mark.parametrize("options", [{}, FEW | {"gate_layers": 0, "key_norm": "column"}, FEW | {"min_depth": 2}])
def test_printed_form_has_one_layer_for_each_depth(options: dict[str, Any]) -> None:
    config = SpaceConfig(**SPACE | options)
    table = cost_table(config, "printed")
    largest = sum(architecture_madds(config, config.largest, executed=False))
    for choice in config.architectures():
        hidden, inner = config.hidden_width(choice.hidden_pruning), config.inner_width(choice.inner_pruning)
        expected = sum(layer_madds(config, choice.depth, hidden, inner, newest_only=False)) / largest
        assert table[choice.label][choice.depth] == pytest.approx(expected, rel=1e-12)
    # Where all layers are alike the expectation over depths is constant: the reason for the other form.
    alike = {len({round(cost, 12) for cost in row.values()}) for row in table.values()}
    assert alike == ({2} if not options else {1})


LENGTHS = {
    "causal, one to three chunks": FEW | {"max_length": 2 * CHUNK + 3},
    "softmax": FEW | {"attention": "softmax"},
    "softmax, masked": FEW | {"attention": "softmax", "objective": "masked", "direction": "bidirectional"},
    "linformer": FEW | {"attention": "linformer", "direction": "bidirectional", "linformer_rank": 4},
    "column, bidirectional": FEW | {"key_norm": "column", "direction": "bidirectional"},
    "core": FEW | {"head": "core", "gate_layers": 0},
    "fused features": FIXED | {"features": "fused", "feature_sizes": (19, 5), "feature_values": (6, 1)},
}


@pytest.mark.parametrize("options", LENGTHS.values(), ids=LENGTHS)
def test_executed_cost_at_every_length_is_what_torch_counts(options: dict[str, Any]) -> None:
    """torch's counter sees the operators that run, and is not fvcore's, which counts a few lengths."""
    config = SpaceConfig(**SPACE | options)
    choice = config.architectures()[-1]
    with torch.device("meta"):
        network = EASRecNetwork(config.compact(choice)).eval()
    for length in range(1, config.max_length + 1):
        ids = torch.ones(1, length, dtype=torch.long, device="meta")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(ids)
        assert executed_madds(config, choice, length) == counter.get_total_flops() / 2, length


def test_executed_cost_on_histories_is_the_mean_over_users() -> None:
    config = SpaceConfig(**SPACE | {"layers": 1})
    histories = HistoryLengths(((1, 5), (4, 2), (10, 1)))
    users = [1] * 5 + [4] * 2 + [10]
    costs = {}
    for choice in config.architectures():
        mean = sum(executed_madds(config, choice, length) for length in users) / len(users)
        cost = costs[choice] = architecture_cost(config, choice, histories)
        assert cost.executed_madds_per_user_on_histories == pytest.approx(mean, rel=1e-12)
        assert replace(cost, executed_madds_per_user_on_histories=None) == architecture_cost(config, choice)
        assert mean < cost.executed_madds_per_user
    largest = costs[config.largest]
    for kind, figure in COST_FIGURES.items():
        if kind == "latency":  # predicted by a device's file: tests/easrec_nni/searching/test_costs.py
            continue
        table = cost_table(config, kind=kind, histories=histories)
        for choice, cost in costs.items():
            share = cost.as_dict()[figure] / largest.as_dict()[figure]
            assert table[choice.label][choice.depth] == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("length", [0, 11])
def test_lengths_that_no_network_sees_are_refused(length: int) -> None:
    config = SpaceConfig(**SPACE)
    with pytest.raises(ValueError, match=f"1 to 10 interactions, not {length}"):
        executed_madds(config, config.largest, length)


def test_figures_have_their_units_in_their_names() -> None:
    config = SpaceConfig(**SPACE)
    figures = architecture_cost(config, config.largest).as_dict()
    assert "executed_madds_per_user_on_histories" not in figures  # of no dataset
    assert all(re.search(r"madds_per_user$|bytes$|^parameters$", name) for name in figures)
    assert all(isinstance(value, float) for value in figures.values())


def test_formulas_above_use_the_chunk_of_the_code() -> None:
    assert attention_module.CHUNK == CHUNK == 64
