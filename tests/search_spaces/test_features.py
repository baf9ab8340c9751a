"""Item features against networks without them on hand-made item vectors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces import EASRecSpace, SpaceConfig
from search_spaces.features import Feature
from tests.search_spaces.spaces import IDS, N_ITEMS, random_space

FIXED: dict[str, Any] = {
    "n_items": N_ITEMS,
    "max_length": 9,
    "hidden": 16,
    "inner": 24,
    "heads": 2,
    "layers": 2,
    "min_depth": 2,
    "hidden_pruning": [0.0],
    "inner_pruning": [0.0],
}
SIZES, MOST = (6, 3, 4), (4, 1, 2)
FEATURES: dict[str, dict[str, Any]] = {
    "one, several values": {"feature_sizes": SIZES[:1], "feature_values": MOST[:1]},
    "one value": {"feature_sizes": SIZES[1:2], "feature_values": MOST[1:2]},
    "three": {"feature_sizes": SIZES, "feature_values": MOST},
}
NETWORKS: dict[str, dict[str, Any]] = {
    "softmax": {"attention": "softmax", "gate_layers": 0, "positions": "from_start"},
    "linrec": {"gate_layers": 0},
    "linrec, column, gates": {"key_norm": "column", "gates_from": 1, "positions": "none"},
    "bidirectional, no norm": {"direction": "bidirectional", "embedding_norm": False},
}
EACH = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
WITH = pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
USE = pytest.mark.parametrize("use", ["fused", "stream"])


def make_tables(config: SpaceConfig, seed: int = 5) -> list[Tensor]:
    """Tables of random values, with some items without values."""
    generator = torch.Generator().manual_seed(seed)
    tables = []
    for size, most in zip(config.feature_sizes, config.feature_values, strict=True):
        table = torch.randint(1, size + 1, (N_ITEMS + 1, most), generator=generator)
        counts = torch.randint(0, most + 1, (N_ITEMS + 1, 1), generator=generator)
        counts[0] = 0
        tables.append(table * (torch.arange(most) < counts))
    return tables


def make_network(**options: Any) -> EASRecSpace:
    """Network with random weights and tables, in eval mode."""
    network = random_space(SpaceConfig(**FIXED | options))
    if network.config.features != "none":
        network.set_feature_tables(make_tables(network.config))
    return network


def feature_vectors(network: EASRecSpace) -> Tensor:
    """Feature vectors ``[n_items + 1, features, d]``, computed value by value."""
    weights = network.state_dict()
    result = torch.zeros(N_ITEMS + 1, len(network.config.feature_sizes), 16)
    for number, table in enumerate(make_tables(network.config)):
        embedding = weights[f"embedding.features.fields.{number}.values.weight"]
        for item, row in enumerate(table.tolist()):
            values = [value for value in row if value]
            if len(row) == 1:
                result[item, number] = embedding[row[0]]
            elif values:
                result[item, number] = sum(embedding[value] for value in values) / len(values)
    return result


def plain_states(network: EASRecSpace, item_vectors: Tensor, layers: str) -> Tensor:
    """States of the network without features, with given item vectors and named layers."""
    none = {"features": "none", "feature_sizes": (), "feature_values": ()}
    plain = EASRecSpace(network.config.model_copy(update=none)).eval()
    weights = {name: weight for name, weight in network.state_dict().items() if name.startswith("embedding.")}
    weights |= {
        name.replace(f"{layers}.blocks", "layers.blocks"): weight
        for name, weight in network.state_dict().items()
        if name.startswith(f"{layers}.blocks")
    }
    weights["embedding.items.weight"] = item_vectors
    plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
    return plain.states(IDS)


@torch.no_grad()
@WITH
@EACH
def test_fused_features_are_other_item_vectors(network: dict[str, Any], features: dict[str, Any]) -> None:
    ours = make_network(features="fused", **network, **features)
    weights = ours.state_dict()
    together = torch.cat([weights["embedding.items.weight"], feature_vectors(ours).flatten(1)], dim=-1)
    weight, bias = weights["embedding.features.fuse.weight"], weights["embedding.features.fuse.bias"]
    expected = plain_states(ours, together @ weight.T + bias, "layers")
    torch.testing.assert_close(ours.states(IDS)[IDS != 0], expected[IDS != 0], rtol=0, atol=1e-5)


def mixed_vectors(network: EASRecSpace) -> Tensor:
    """Item vectors in the feature stream, weighted by attention with several features."""
    vectors, weights = feature_vectors(network), network.state_dict()
    if vectors.shape[1] == 1:
        return vectors[:, 0]
    first, second = (
        [weights[f"embedding.features.energy.{layer}.{k}"] for k in ("weight", "bias")] for layer in (0, 2)
    )
    energies = ((vectors @ first[0].T + first[1]).relu() @ second[0].T + second[1])[..., 0]
    shares = energies.exp() / energies.exp().sum(1, keepdim=True)
    return sum(shares[:, number, None] * vectors[:, number] for number in range(vectors.shape[1]))


@torch.no_grad()
@WITH
@EACH
def test_two_streams_are_two_networks_that_are_joined(network: dict[str, Any], features: dict[str, Any]) -> None:
    ours = make_network(features="stream", **network, **features)
    weights = ours.state_dict()
    items = plain_states(ours, weights["embedding.items.weight"], "layers")
    others = plain_states(ours, mixed_vectors(ours), "layers.features")
    joined = torch.cat([items, others], dim=-1) @ weights["layers.join.weight"].T + weights["layers.join.bias"]
    if ours.config.embedding_norm:
        joined = F.layer_norm(joined, (16,), weights["embedding.norm.weight"], weights["embedding.norm.bias"])
    torch.testing.assert_close(ours.states(IDS)[IDS != 0], joined[IDS != 0], rtol=0, atol=1e-5)
    assert (items - others)[IDS != 0].abs().amax(-1).min() > 0.01  # swapped streams would be seen


@torch.no_grad()
@USE
@WITH
@EACH
def test_newest_position_alone_is_what_the_full_computation_has_there(
    network: dict[str, Any], features: dict[str, Any], use: str
) -> None:
    ours = make_network(features=use, **network, **features)
    full, newest = ours.states(IDS), ours.newest_state(IDS)
    for row, ids in enumerate(IDS[:-1]):
        torch.testing.assert_close(newest[row], full[row, int(ids.nonzero()[-1])], rtol=0, atol=1e-5)
    scores = ours(IDS)
    assert scores.shape == (len(IDS), N_ITEMS + 1) and scores[:, 1:].isfinite().all()
    torch.testing.assert_close(scores[:, 1:], newest @ ours.embedding.items.weight[1:].T, rtol=0, atol=1e-5)


@USE
@WITH
def test_every_weight_learns(use: str, features: dict[str, Any]) -> None:
    network = make_network(features=use, gate_layers=1, **features).train()
    network.states(torch.arange(1, N_ITEMS + 1).view(3, 5)).square().sum().backward()
    for name, weight in network.named_parameters():
        # The same number for every feature's energy moves no softmax: its gradient is zero but for rounding.
        idle = name == "embedding.features.energy.2.bias"
        assert weight.grad is not None and (idle or weight.grad.abs().max() > 0), name
    for number, most in enumerate(network.config.feature_values):
        gradient = dict(network.named_parameters())[f"embedding.features.fields.{number}.values.weight"].grad
        assert (gradient[0].abs().max() > 0) == (most == 1)  # row 0 is "none" where there is one value, else padding


@torch.no_grad()
@USE
def test_dropout_falls_on_streams_and_output_in_training_only(use: str) -> None:
    network = make_network(features=use, **FEATURES["three"])
    assert torch.equal(network(IDS), network(IDS))
    network.train()
    assert not torch.equal(network(IDS), network(IDS))
    dropped = (network.states(IDS)[IDS != 0] == 0).float().mean()
    assert (0.1 < dropped < 0.3) == (use == "stream")  # FDSA drops from the joined output


@torch.no_grad()
@USE
def test_tables_are_saved_and_loaded_with_the_weights(use: str) -> None:
    network = make_network(features=use, **FEATURES["three"])
    other = EASRecSpace(network.config).eval()
    other.load_state_dict(network.weights())
    assert torch.equal(other(IDS), network(IDS))
    frozen = network.freeze(network.config.largest)
    assert frozen.config == network.config.compact(network.config.largest)
    assert torch.equal(frozen(IDS), network(IDS))
    frozen.set_feature_tables([torch.zeros_like(table) for table in make_tables(network.config)])
    assert not torch.equal(frozen.weights()["embedding.features.fields.0.table"], make_tables(network.config)[0])
    assert torch.equal(network.weights()["embedding.features.fields.0.table"], make_tables(network.config)[0])


@torch.no_grad()
@USE
def test_a_network_without_its_tables_refuses_to_run(use: str) -> None:
    network = EASRecSpace(SpaceConfig(**FIXED, features=use, **FEATURES["three"]))
    with pytest.raises(ValueError, match="features are not set: call set_feature_tables"):
        network(IDS)
    network.set_feature_tables(make_tables(network.config))
    network(IDS)


def _with(table: Tensor, row: int, value: int) -> Tensor:
    table = table.clone()
    table[row, 0] = value
    return table


def test_tables_that_do_not_fit_are_refused_and_none_is_put_in() -> None:
    network = make_network(features="fused", **FEATURES["three"])
    good = make_tables(network.config, seed=6)
    wrong = [
        (good[:2], "3 item features, not 2"),
        ([*good[:2], good[2][:-1]], r"item feature 2: the table has shape \[15, 2\] instead of \[16, 2\]"),
        ([*good[:2], good[2].float()], "item feature 2: .* whole numbers from 0 to 4"),
        ([*good[:2], _with(good[2], 3, 5)], "item feature 2: .* whole numbers from 0 to 4"),
        ([*good[:2], _with(good[2], 3, -1)], "item feature 2: .* whole numbers from 0 to 4"),
        ([*good[:2], _with(good[2], 0, 1)], "item feature 2: row 0 of the table stands for padding"),
    ]
    for tables, message in wrong:
        with pytest.raises(ValueError, match=message):
            network.set_feature_tables(tables)
    before = make_tables(network.config)[0]
    assert torch.equal(network.weights()["embedding.features.fields.0.table"], before)
    with pytest.raises(ValueError, match="this network has no item features"):
        make_network().set_feature_tables(good)


@torch.no_grad()
def test_an_item_has_the_mean_of_its_values_by_hand() -> None:
    feature = Feature(n_items=3, size=2, max_values=2, width=1)
    feature.values.weight.copy_(torch.tensor([[9.0], [1.0], [4.0]]))
    feature.table.copy_(torch.tensor([[0, 0], [1, 2], [0, 0], [2, 0]]))
    assert feature(torch.tensor([[1, 2], [3, 0]]))[..., 0].tolist() == [[2.5, 0.0], [4.0, 0.0]]
    single = Feature(n_items=2, size=1, max_values=1, width=1)
    single.values.weight.copy_(torch.tensor([[9.0], [1.0]]))
    single.table.copy_(torch.tensor([[0], [1], [0]]))
    assert single(torch.tensor([[1, 2]]))[..., 0].tolist() == [[1.0, 9.0]]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"hidden_pruning": [0.0, 0.5]}, "needs a space with nothing to choose"),
        ({"min_depth": 1}, "needs a space with nothing to choose: .*min_depth equal to layers"),
        ({"feature_sizes": [6]}, r"one number for each feature; got 1, 3 \(and 0\)"),
        ({"feature_sizes": (), "feature_values": ()}, "needs feature_sizes and feature_values"),
        ({"feature_names": ["genre"]}, r"one number for each feature; got 3, 3 \(and 1\)"),
        ({"feature_sizes": (6, 0, 4)}, "must be 1 or more"),
        ({"feature_values": (6, 1, 0)}, "must be 1 or more"),
        ({"features": "none"}, "need features='fused' or 'stream'"),
        ({"features": "concat"}, "'none', 'fused' or 'stream'"),
    ],
)
def test_impossible_configurations_are_refused_with_the_reason(change: dict[str, Any], message: str) -> None:
    whole = {**FIXED, "features": "fused", **FEATURES["three"]}
    SpaceConfig(**whole)
    with pytest.raises(ValueError, match=message):
        SpaceConfig(**whole | change)


def test_features_need_no_sizes_where_there_are_none() -> None:
    with pytest.raises(ValueError, match="need features='fused' or 'stream'"):
        SpaceConfig(**FIXED, feature_names=["genre"])
    assert SpaceConfig(**FIXED).features == "none"


@torch.no_grad()
@USE
def test_a_pruned_fixed_space_with_features_is_the_narrow_network(use: str) -> None:
    whole = {**FIXED, "features": use, **FEATURES["three"], "hidden_pruning": [0.5], "inner_pruning": [0.25]}
    space = EASRecSpace(SpaceConfig(**whole)).eval()
    space.set_feature_tables(make_tables(space.config))
    frozen = space.freeze(space.config.largest)
    assert frozen.config.hidden == 8 and frozen.config.features == use
    assert frozen.config.feature_sizes == SIZES and frozen.config.feature_values == MOST
    torch.testing.assert_close(frozen(IDS), space(IDS), rtol=0, atol=1e-6)
