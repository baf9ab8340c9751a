"""Pre-norm and LiGR blocks, each against its equation in plain tensor operations, and as candidates of a supernet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces import EASRecNetwork, EASRecSpace, SpaceConfig
from search_spaces.blocks import make_block
from search_spaces.pre_norm import LigrBlock

IDS = torch.tensor([[0, 0, 3, 7, 2], [1, 2, 3, 4, 5], [0, 0, 0, 0, 9]])
HIDDEN, INNER = 8, 12
SIZES: dict[str, Any] = {"n_items": 9, "max_length": 5, "hidden": HIDDEN, "inner": INNER, "heads": 2, "gate_layers": 0}


def normed(x: Tensor, norm: Any) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def attention(block: Any, x: Tensor) -> Tensor:
    """Causal softmax attention and W_O, head by head and query by query."""
    width, out = HIDDEN // 2, torch.zeros_like(x)
    query, key, value = (x @ block.qkv.weight.T + block.qkv.bias).split(HIDDEN, -1)
    for row in range(x.shape[0]):
        for t in range(x.shape[1]):
            if IDS[row, t] == 0:
                continue
            seen = [s for s in range(t + 1) if IDS[row, s] != 0]
            for head in range(2):
                part = slice(head * width, (head + 1) * width)
                scores = torch.stack([query[row, t, part] @ key[row, s, part] for s in seen]) / width**0.5
                weights = scores.exp() / scores.exp().sum()
                out[row, t, part] = sum(w * value[row, s, part] for w, s in zip(weights, seen, strict=True))
    return out @ block.out.weight.T + block.out.bias


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


def reference(block: Any, x: Tensor) -> Tensor:
    mixed = attention(block, normed(x, block.attention_norm))
    if not isinstance(block, LigrBlock):
        x = x + mixed
        inner = normed(x, block.output_norm) @ block.expand.weight.T + block.expand.bias
        inner = inner * 0.5 * (1 + torch.erf(inner / 2**0.5))
        return x + inner @ block.contract.weight.T + block.contract.bias
    first, second = block.skip_gates
    x = x + sigmoid(x @ first.weight.T + first.bias) * mixed
    feed = normed(x, block.output_norm)
    gate = feed @ block.expand.weight.T
    update = (gate * sigmoid(gate) * (feed @ block.expand_gate.weight.T)) @ block.contract.weight.T
    return x + sigmoid(x @ second.weight.T + second.bias) * update


@torch.no_grad()
@pytest.mark.parametrize("form", ["pre_norm", "ligr"])
def test_a_block_is_its_equation(form: Any) -> None:
    torch.manual_seed(4)
    config = SpaceConfig(**SIZES, layers=2, attention="softmax", block=form)
    block = make_block(config, 2, HIDDEN, INNER).eval().double()
    for weight in block.parameters():
        weight.normal_()
    batch = EASRecSpace(config).double().eval().embedding.embed(IDS)
    states, real = torch.randn(*IDS.shape, HIDDEN, dtype=torch.float64), IDS != 0
    expected = reference(block, states)
    torch.testing.assert_close(block(states, batch)[real], expected[real], rtol=1e-9, atol=1e-10)
    newest = block(states, replace(batch, last_only=True))
    torch.testing.assert_close(newest[:, 0], expected[:, -1], rtol=1e-9, atol=1e-10)
    scaled = block(states, batch, factor=torch.tensor(0.25, dtype=torch.float64))
    torch.testing.assert_close(scaled[real], 0.25 * expected[real], rtol=1e-9, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("form", ["pre_norm", "ligr"])
def test_the_final_norm_stands_behind_the_last_layer(form: Any) -> None:
    torch.manual_seed(5)
    fixed = {"layers": 2, "min_depth": 2, "hidden_pruning": [0], "inner_pruning": [0]}
    with_norm = EASRecNetwork(SpaceConfig(**SIZES, **fixed, block=form, final_norm=True)).eval()
    without = EASRecNetwork(SpaceConfig(**SIZES, **fixed, block=form)).eval()
    without.load_state_dict({k: v for k, v in with_norm.state_dict().items() if "final_norm" not in k})
    norm = with_norm.layers.final_norm
    real = IDS != 0
    torch.testing.assert_close(with_norm.states(IDS)[real], normed(without.states(IDS), norm)[real])
    torch.testing.assert_close(with_norm.newest_state(IDS), with_norm.states(IDS)[:, -1])


@torch.no_grad()
def test_a_supernet_of_ligr_blocks_freezes_to_the_same_scores() -> None:
    torch.manual_seed(6)
    space = EASRecSpace(SpaceConfig(**SIZES, layers=2, hidden_pruning=[0, 0.5], inner_pruning=[0], block="ligr")).eval()
    network = space.freeze({"hidden_pruning": 0.5, "inner_pruning": 0, "depth": 1})
    batch = space.embedding.embed(IDS)
    states = space.blocks()[0].run(1, None, batch)
    torch.testing.assert_close(network.states(IDS)[IDS != 0], states[..., : HIDDEN // 2][IDS != 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": "ligr", "gate_layers": 2}, "set gate_layers=0"),
        ({"block": "ligr", "supernet": "shared"}, "supernet='independent'"),
        ({"block": "pre_norm", "final_norm": True}, "nothing to choose"),
        ({"final_norm": True}, "remove final_norm"),
        ({"attention": "linrec", "attention_dropout": 0.1}, "remove attention_dropout"),
    ],
)
def test_what_a_form_of_block_cannot_do_is_refused_with_the_setting(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpaceConfig(**{**SIZES, **change})
