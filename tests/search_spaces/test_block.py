"""Block against Eq. 9 with explicit indices: weights of a candidate, inputs of its gates."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces import SpaceConfig
from search_spaces.attention import ATTENTIONS
from search_spaces.block import Block
from search_spaces.config import BIDIRECTIONAL_ONLY
from search_spaces.embedding import Batch, SequenceEmbedding

HIDDEN, INNER, HEADS = 12, 20, 2
IDS = torch.tensor([[0, 3, 1, 4, 2], [5, 5, 2, 0, 1]])


def make_parts(**options: Any) -> tuple[SpaceConfig, Batch]:
    torch.manual_seed(0)
    config = SpaceConfig(
        n_items=6, max_length=5, hidden=HIDDEN, inner=INNER, heads=HEADS, hidden_pruning=(0, 0.5), **options
    )
    embedding = SequenceEmbedding(config).eval().double()
    randomise(embedding)
    return config, embedding.embed(IDS)


@torch.no_grad()
def randomise(module: torch.nn.Module) -> None:
    for name, weight in module.named_parameters():
        weight.normal_(1.0 if "norm.weight" in name else 0.0, 0.4)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def gate(block: Block, name: str, embedding: Tensor, width: int, out: int) -> Tensor:
    """Gate by Eq. 6 and 7 from the first columns of the weights; ones without a gate."""
    module = getattr(block, name)
    if module is None:
        return torch.ones(())
    crossed = embedding
    if module.crossing is not None:
        crossed = (embedding @ module.crossing.weight[:width, :width].T + module.crossing.bias[:width]).relu()
    return 2 * torch.sigmoid(crossed @ module.perception.weight[:out, :width].T + module.perception.bias[:out])


def reference(
    block: Block, config: SpaceConfig, states: Tensor, embedding: Tensor, mask: Tensor, h: int, i: int
) -> Tensor:
    """Eq. 9 at widths h and i, keeping the first dimensions of each head and of all others."""
    states, embedding = states[..., :h], embedding[..., :h]
    full_width, width = HIDDEN // HEADS, h // HEADS
    rows = [head * full_width + j for head in range(HEADS) for j in range(width)]  # dimensions of the kept heads
    projected = []
    for part in range(3):
        places = [part * HIDDEN + row for row in rows]
        flat = states @ block.qkv.weight[places][:, :h].T + block.qkv.bias[places]
        projected.append(torch.stack([flat[..., head * width : (head + 1) * width] for head in range(HEADS)], 1))
    # What a form of attention computes is tested by itself.
    heads = block.attention(*projected, mask, config.direction == "causal", config.key_norm, 0.0)
    joined = torch.cat([heads[:, head] for head in range(HEADS)], -1)
    mixed = joined @ block.out.weight[:h][:, rows].T + block.out.bias[:h]
    norm = block.attention_norm
    attended = layer_norm(states + mixed, norm.weight[:h], norm.bias[:h])
    expanded = (gate(block, "hidden_gate", embedding, h, h) * attended) @ block.expand.weight[:i, :h].T
    expanded = gelu(expanded + block.expand.bias[:i])
    contracted = (gate(block, "inner_gate", embedding, h, i) * expanded) @ block.contract.weight[:h, :i].T
    norm = block.output_norm
    return layer_norm(attended + contracted + block.contract.bias[:h], norm.weight[:h], norm.bias[:h])


@torch.no_grad()
@pytest.mark.parametrize("h, i", [(12, 20), (12, 5), (6, 20), (6, 10), (4, 15)])
@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("gate_layers", [0, 1, 2])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_block_is_equation_9_at_every_width(attention: str, gate_layers: int, layer: int, h: int, i: int) -> None:
    direction = "bidirectional" if attention in BIDIRECTIONAL_ONLY else "causal"
    config, batch = make_parts(attention=attention, direction=direction, gate_layers=gate_layers)
    block = Block(config, layer, HIDDEN, INNER).eval().double()
    randomise(block)
    assert (block.hidden_gate is not None) == (layer == 2 and gate_layers > 0)
    embedding = batch.input(h)
    # States of a layer before are another tensor than the embedding, which is what gates look at (X of Eq. 6).
    states = torch.randn(*IDS.shape, HIDDEN, dtype=torch.float64) if layer == 2 else None
    expected = reference(block, config, embedding if states is None else states, embedding, batch.mask, h, i)
    real = IDS != 0
    states_out = block(states, batch, h, i)
    assert states_out.shape == (*IDS.shape, h)
    torch.testing.assert_close(states_out[real], expected[real], rtol=1e-9, atol=1e-10)
    # The newest position alone, and several inner widths at once, are the same numbers.
    newest = block(states, replace(batch, last_only=True), h, i)
    torch.testing.assert_close(newest[:, 0], expected[:, -1], rtol=1e-9, atol=1e-10)
    several = block.at_widths(states, batch, h, [i, INNER, 1])
    torch.testing.assert_close(several[0][real], expected[real], rtol=1e-9, atol=1e-10)
    smallest = reference(block, config, embedding if states is None else states, embedding, batch.mask, h, 1)
    torch.testing.assert_close(several[2][real], smallest[real], rtol=1e-9, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("width", [12, 6])
def test_embedding_is_items_plus_positions_normalised_over_kept_dimensions(width: int) -> None:
    _, batch = make_parts()
    source = batch.source
    assert source.positions is not None and source.norm is not None
    for row, ids in enumerate(IDS.tolist()):
        for t, item in enumerate(ids):
            if item:
                after = sum(other != 0 for other in ids[t + 1 :])  # the newest interaction has position 0
                vector = (source.items.weight[item] + source.positions.weight[after])[:width]
                expected = layer_norm(vector, source.norm.weight[:width], source.norm.bias[:width])
                torch.testing.assert_close(batch.input(width)[row, t], expected, rtol=1e-9, atol=1e-10)


def test_dropout_of_the_embedding_is_drawn_once_for_all_who_ask() -> None:
    _, batch = make_parts()
    batch.source.train()
    assert torch.equal(batch.input(6), batch.input(6))
    assert not torch.equal(batch.source.embed(IDS).input(6), batch.input(6))


@pytest.mark.parametrize(("given", "wanted"), [(None, 0.5), (0.2, 0.2), (0.0, 0.0)])
def test_dropout_of_attention_weights_is_its_own_or_the_general_one(given: float | None, wanted: float) -> None:
    config, batch = make_parts(attention="softmax", dropout=0.5, attention_dropout=given)
    block, drawn = Block(config, 1, HIDDEN, INNER).double(), []

    def attention(query: Tensor, *rest: Any) -> Tensor:
        drawn.append(rest[-1])
        return query

    block.attention = attention
    for training in (True, False):
        block.train(training)(None, batch)
    assert drawn == [wanted, 0.0]
