"""Transformer block of Eq. 9, which can run at any width up to its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.attention import make_attention
from search_spaces.config import SpaceConfig
from search_spaces.dropout import nested_dropout_masks
from search_spaces.embedding import Batch
from search_spaces.gates import DataAwareGate
from search_spaces.nested_projections import nested_projections, segments
from search_spaces.tracing import is_traced

__all__ = ["Block", "SharedParts"]


class SharedParts(NamedTuple):
    """Values that all hidden widths of a block share; see :meth:`Block.shared_parts`.

    Attributes
    ----------
    attention_dropout, output_dropout
        Dropout masks ``[B, M, w]`` after W_O and after the second dense layer, by width; None without dropout.
    projections
        Queries, keys and values ``[B, heads, N, d_h]`` by width, if computed; only keys and values if only the last
        position is needed.
    """

    attention_dropout: Mapping[int, Tensor | None]
    output_dropout: Mapping[int, Tensor | None]
    projections: Mapping[int, Sequence[Tensor]]


def _add_residual(total: Tensor, states: Tensor, mask: Tensor | None) -> Tensor:
    """Residual connection with dropout, fused into one pass: total + states * mask."""
    return total + states if mask is None else torch.addcmul(total, states, mask)


class Block(nn.Module):
    """Post-norm transformer block with attention and gated feed-forward network (Eq. 9).

    A block can run on the first dimensions of its weights, as the shared supernet's candidates do: pruned dimensions
    cost nothing, and LayerNorm runs over the kept ones. Every head keeps its own first dimensions.

    Parameters
    ----------
    config
        Configuration of heads, attention, gates and dropout.
    layer
        Number of the layer, from 1, which decides whether the block has gates (Eq. 8).
    hidden, inner
        Widths of the block.
    """

    def __init__(self, config: SpaceConfig, layer: int, hidden: int, inner: int) -> None:
        super().__init__()
        self.attention = make_attention(config)
        self.heads, self.hidden, self.inner = config.heads, hidden, inner
        self.causal, self.key_norm = config.direction == "causal", config.key_norm
        self.dropout = config.dropout
        self.attention_dropout = config.dropout if config.attention_dropout is None else config.attention_dropout
        self.scaled_dropout = config.scaled_dropout
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden)
        self.expand = nn.Linear(hidden, inner)
        self.contract = nn.Linear(inner, hidden)
        self.output_norm = nn.LayerNorm(hidden)
        self.hidden_gate, self.inner_gate = (
            DataAwareGate(hidden, width, config.gate_layers, config.gate_scale) if config.has_gates(layer) else None
            for width in (hidden, inner)
        )

    def forward(
        self,
        states: Tensor | None,
        batch: Batch,
        hidden: int | None = None,
        inner: int | None = None,
        factor: Tensor | None = None,
    ) -> Tensor:
        """Run the block at one pair of widths (default: its own).

        Parameters
        ----------
        states
            ``[B, N, >= hidden]`` output of the previous layer, of which the first dimensions are read; None in layer 1.
        batch
            Embedded batch.
        factor
            Scalar to multiply the output with.

        Returns
        -------
        Tensor
            ``[B, N, hidden]``, or ``[B, 1, hidden]`` if the batch asks for the last position only.
        """
        factors = None if factor is None else [factor]
        return self.at_widths(states, batch, hidden or self.hidden, [inner or self.inner], factors)[0]

    def at_widths(
        self,
        states: Tensor | None,
        batch: Batch,
        hidden: int,
        inners: Sequence[int],
        factors: Sequence[Tensor] | None = None,
        shared: SharedParts | None = None,
    ) -> list[Tensor]:
        """Run the block at one hidden and several inner widths.

        Attention and the first dense layer are computed once.

        Parameters
        ----------
        states, batch, hidden
            See :meth:`forward`. M below is N, or 1 if the batch asks for the last position only.
        inners
            Inner widths, in any order.
        factors
            Scalar for each inner width, to multiply its output with.
        shared
            Values shared with other hidden widths; computed if None.

        Returns
        -------
        list
            ``[B, M, hidden]`` for each inner width.
        """
        shared = shared or self.shared_parts(states, batch, [hidden])
        source = batch.input(hidden) if states is None else states[..., :hidden]  # [B, N, hidden]
        gate_input = batch.input(hidden)  # [B, N, hidden]
        residual = source
        if batch.last_only:
            residual = batch.newest(source)  # [B, 1, hidden]
            gate_input = batch.newest(gate_input) if self.hidden_gate is not None else gate_input
        mixed = self._attend(residual, source, batch.mask, hidden, shared.projections.get(hidden))  # [B, M, hidden]
        attended = self._norm(
            self.attention_norm, _add_residual(residual, mixed, shared.attention_dropout[hidden]), hidden
        )
        widths = sorted(set(inners))
        expanded, contract = self._gated_feed_forward(attended, gate_input, hidden, widths[-1])
        contracted = self._running_contraction(attended, expanded, contract, widths, shared.output_dropout[hidden])
        # c * LayerNorm(x) = norm(x) * (c * weight) + c * bias: d products instead of B M d.
        return [
            self._norm(self.output_norm, contracted[width], hidden, None if factors is None else factors[place])
            for place, width in enumerate(inners)
        ]

    def _gated_feed_forward(
        self, attended: Tensor, gate_input: Tensor, hidden: int, inner: int
    ) -> tuple[Tensor, Tensor]:
        """First dense layer with gates: ``[B, M, inner]``, and the second one's weight ``[h, D]``."""
        expand, contract, feed = self.expand.weight, self.contract.weight, attended  # [D, h], [h, D], [B, M, hidden]
        # (gamma * g * x) W = (g * x) (gamma * W): gamma scales the weights once instead of every position.
        if self.hidden_gate is not None:
            feed = attended * self.hidden_gate(gate_input, hidden, scaled=False)
            expand = self.hidden_gate.scale * expand
        expanded = F.gelu(F.linear(feed, expand[:inner, :hidden], self.expand.bias[:inner]))  # [B, M, inner]
        if self.inner_gate is not None:
            expanded = expanded * self.inner_gate(gate_input, inner, scaled=False)
            contract = self.inner_gate.scale * contract
        return expanded, contract

    def _running_contraction(
        self, attended: Tensor, expanded: Tensor, contract: Tensor, widths: Sequence[int], dropout: Tensor | None
    ) -> dict[int, Tensor]:
        """Second dense layer and residual, ``[B, M, hidden]``, at each of the ascending inner widths."""
        hidden, running = attended.shape[-1], attended
        contracted: dict[int, Tensor] = {}
        parts = segments(widths)
        pieces = expanded.split([end - begin for begin, end in parts], dim=-1)  # [B, M, end - begin]
        # x[:96] W[:96] = x[:64] W[:64] + x[64:96] W[64:96]: running sums give all widths at the cost of the widest.
        for (begin, end), piece in zip(parts, pieces, strict=True):
            bias = None if begin else self.contract.bias[:hidden]
            running = _add_residual(running, F.linear(piece, contract[:hidden, begin:end], bias), dropout)
            contracted[end] = running
        return contracted

    def shared_parts(self, states: Tensor | None, batch: Batch, widths: Sequence[int]) -> SharedParts:
        """Dropout masks, and after layer 1 projections, that several hidden widths share.

        Layer 1 reads embeddings that are normalised separately for each width, so that it cannot share projections.
        """
        positions = batch.embedding[:, :1] if batch.last_only else batch.embedding
        rates = {width: self.scaled_dropout(self.dropout, width) for width in widths}
        first, second = (nested_dropout_masks(positions[..., : max(widths)], rates, self.training) for _ in range(2))
        projections: dict[int, Sequence[Tensor]] = {}
        if states is not None and len(widths) > 1 and not is_traced():
            ascending = sorted(widths)
            begin = self.hidden if batch.last_only else 0  # queries come from the newest position only
            weight, bias = self.qkv.weight[begin:], self.qkv.bias[begin:]
            nested = nested_projections(states, weight, bias, self.heads, ascending)
            projections = {width: parts.unbind() for width, parts in zip(ascending, nested, strict=True)}
        return SharedParts(first, second, projections)

    def _attend(
        self, residual: Tensor, source: Tensor, mask: Tensor, hidden: int, projections: Sequence[Tensor] | None
    ) -> Tensor:
        """Multi-head attention and W_O, ``[B, M, hidden]``; queries come from ``residual``."""
        if residual is source:
            query, key, value = projections or self._split(F.linear(source, *self._qkv_slice(hidden)), 3)
        else:
            weight, bias = self._qkv_slice(hidden)
            (query,) = self._split(F.linear(residual, weight[:hidden], bias[:hidden]), 1)
            key, value = projections or self._split(F.linear(source, weight[hidden:], bias[hidden:]), 2)
        dropout = self.scaled_dropout(self.attention_dropout, hidden) if self.training else 0.0
        heads = self.attention(query, key, value, mask, self.causal, self.key_norm, dropout)
        joined = heads.transpose(1, 2).flatten(2)  # [B, M, hidden]
        return F.linear(joined, self._out_slice(hidden), self.out.bias[:hidden])

    def _split(self, projected: Tensor, parts: int) -> list[Tensor]:
        """Split ``[B, M, parts * hidden]`` into ``parts`` tensors ``[B, heads, M, d_h]``."""
        batch, length, width = projected.shape
        shaped = projected.view(
            batch, length, parts, self.heads, width // parts // self.heads
        )  # [B, M, parts, heads, d_h]
        return list(shaped.permute(2, 0, 3, 1, 4).unbind(0))

    def _qkv_slice(self, hidden: int) -> tuple[Tensor, Tensor]:
        if hidden == self.hidden:
            return self.qkv.weight, self.qkv.bias
        width = hidden // self.heads  # kept dimensions of each head
        weight = self.qkv.weight.view(3, self.heads, -1, self.hidden)[:, :, :width, :hidden]
        bias = self.qkv.bias.view(3, self.heads, -1)[:, :, :width]
        return weight.reshape(3 * hidden, hidden), bias.reshape(3 * hidden)

    def _out_slice(self, hidden: int) -> Tensor:
        if hidden == self.hidden:
            return self.out.weight
        weight = self.out.weight.view(self.hidden, self.heads, -1)[:hidden, :, : hidden // self.heads]
        return weight.reshape(hidden, hidden)

    def _norm(self, norm: nn.LayerNorm, states: Tensor, width: int, factor: Tensor | None = None) -> Tensor:
        weight, bias = norm.weight[:width], norm.bias[:width]
        if factor is not None:
            weight, bias = factor * weight, factor * bias
        return F.layer_norm(states, (width,), weight, bias, norm.eps)

    def sliced_state(self, hidden: int, inner: int) -> dict[str, Tensor]:
        """Weights of the compact block that keeps the first dimensions."""
        qkv_weight, qkv_bias = self._qkv_slice(hidden)
        state = {
            "qkv.weight": qkv_weight,
            "qkv.bias": qkv_bias,
            "out.weight": self._out_slice(hidden),
            "out.bias": self.out.bias[:hidden],
            "expand.weight": self.expand.weight[:inner, :hidden],
            "expand.bias": self.expand.bias[:inner],
            "contract.weight": self.contract.weight[:hidden, :inner],
            "contract.bias": self.contract.bias[:hidden],
        }
        if isinstance(self.attention, nn.Module):  # its weights do not depend on the width
            state |= {f"attention.{name}": weight for name, weight in self.attention.state_dict(keep_vars=True).items()}
        for name, norm in (("attention_norm", self.attention_norm), ("output_norm", self.output_norm)):
            state |= {f"{name}.weight": norm.weight[:hidden], f"{name}.bias": norm.bias[:hidden]}
        for name, gate, width in (("hidden_gate", self.hidden_gate, hidden), ("inner_gate", self.inner_gate, inner)):
            if gate is not None:
                state |= {f"{name}.{key}": weight for key, weight in gate.sliced_state(hidden, width).items()}
        return state
