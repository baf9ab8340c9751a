"""Single steps and pieces against the network on the whole history."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from easrec_nni.serving.bulk import read_histories
from easrec_nni.serving.step import StepPlan
from easrec_nni.serving.streamable import without_window
from search_spaces import EASRecSpace

USERS, EVENTS = 5, 20
VARIANTS: list[dict[str, Any]] = [
    {},
    {"key_norm": "column"},
    {"attention": "elu"},
    {"positions": "from_start"},
    {"positions": "from_start", "attention": "elu", "gate_layers": 1},
    {"gate_layers": 0, "embedding_norm": False},
    {"gate_layers": 1, "gates_from": 1, "key_norm": "column"},
    {"layers": 1},
    {"layers": 1, "gates_from": 1, "positions": "from_start"},
]


def histories() -> Tensor:
    return torch.randint(1, 31, (USERS, EVENTS), generator=torch.Generator().manual_seed(3))


def run_steps(network: EASRecSpace, plan: StepPlan, ids: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    config = network.config
    width = config.hidden // config.heads
    products = torch.zeros(config.layers, len(ids), config.heads, width, width, dtype=dtype)
    sums = torch.zeros(config.layers, len(ids), config.heads, width, dtype=dtype)
    newest = torch.empty(0)
    for place in range(ids.shape[1]):
        newest = plan.run(ids[:, place].numpy().copy(), np.full(len(ids), place), products, sums)
    return newest, products, sums


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_steps_and_pieces_equal_the_whole_history(
    make_network: Any, fields: dict[str, Any], dtype: torch.dtype
) -> None:
    network, ids = make_network(**fields), histories()
    plan = StepPlan(network, dtype)
    with torch.inference_mode():
        expected = without_window(network, EVENTS).newest_state(ids)
        newest, products, sums = run_steps(network, plan, ids, dtype)
        torch.testing.assert_close(newest, expected, rtol=1e-5, atol=1e-5)
        read: dict[str, Tensor] = {}

        def store(users: Any, *parts: Tensor) -> None:
            read.update(zip(("newest", "products", "sums"), parts, strict=True), users=torch.from_numpy(users))

        starts = np.arange(USERS) * EVENTS
        read_histories(network, ids.numpy().reshape(-1), starts, starts + EVENTS, store, dtype)
    torch.testing.assert_close(read["newest"], expected[read["users"]], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(read["products"], products[:, read["users"]], rtol=1e-4, atol=1e-4)
    if plan.has_sums:
        torch.testing.assert_close(read["sums"], sums[:, read["users"]], rtol=1e-4, atol=1e-4)


def test_looked_up_or_computed_makes_no_difference(make_network: Any) -> None:
    network = make_network()
    looked_up, computed = StepPlan(network, torch.float32), StepPlan(network, torch.float32, largest_tables=0)
    assert looked_up.tables is not None and computed.tables is None
    with torch.inference_mode():
        one, other = (run_steps(network, plan, histories(), torch.float32)[0] for plan in (looked_up, computed))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_one_user_alone_gets_what_it_gets_among_others(make_network: Any) -> None:
    network = make_network(key_norm="column")
    plan = StepPlan(network, torch.float64)
    with torch.inference_mode():
        batched = run_steps(network, plan, histories(), torch.float64)[0]
        for user in range(USERS):
            single = run_steps(network, plan, histories()[user : user + 1], torch.float64)[0]
            torch.testing.assert_close(single, batched[user : user + 1], rtol=1e-5, atol=1e-6)


def test_best_items_are_the_networks(make_network: Any) -> None:
    network = make_network()
    states = torch.randn(4, 16)
    seen = torch.zeros(4, 31, dtype=torch.bool)
    seen[:, 3:9] = True
    with torch.inference_mode():
        plan = StepPlan(network, torch.float32)
        scores = network.score(states)
        values, items = plan.best(states.numpy(), 7)
        torch.testing.assert_close(torch.from_numpy(values), scores.topk(7).values)
        assert items.tolist() == scores.topk(7).indices.tolist()
        assert (plan.best(states.numpy(), 7, seen)[1].tolist()) == scores.masked_fill(seen, -torch.inf).topk(
            7
        ).indices.tolist()


def test_fused_item_features_are_streamed_too(make_network: Any) -> None:
    network = make_network(features="fused", feature_sizes=(4,), feature_values=(2,))
    table = torch.randint(0, 5, (31, 2), generator=torch.Generator().manual_seed(1))
    table[0] = 0
    network.set_feature_tables([table])
    with torch.inference_mode():
        expected = without_window(network, EVENTS).newest_state(histories())
        newest = run_steps(network, StepPlan(network, torch.float64), histories(), torch.float64)[0]
    torch.testing.assert_close(newest, expected, rtol=1e-5, atol=1e-5)
