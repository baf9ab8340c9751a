"""Transformer blocks with LayerNorm before attention and feed-forward network: plain pre-norm, and LiGR."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.block import Block, SharedParts
from search_spaces.config import SpaceConfig
from search_spaces.dropout import dropout
from search_spaces.embedding import Batch

__all__ = ["LigrBlock", "PreNormBlock"]


class PreNormBlock(Block):
    r"""Block that normalises the inputs of attention and feed-forward network (Xiong et al., ICML 2020).

    .. math:: A = X + attention(LayerNorm(X)), \quad Y = A + W_2 gelu(W_1 LayerNorm(A))

    The residual stream is never normalised, so that the last layer needs a norm of its own
    (``SpaceConfig.final_norm``). The block runs at its own widths only and has no data-aware gates.
    """

    def at_widths(
        self,
        states: Tensor | None,
        batch: Batch,
        hidden: int,
        inners: Sequence[int],
        factors: Sequence[Tensor] | None = None,
        shared: SharedParts | None = None,
    ) -> list[Tensor]:
        """Run the block; parameters and result are those of :meth:`.Block.at_widths`, at the block's own widths."""
        source = batch.input(hidden) if states is None else states[..., :hidden]  # [B, N, hidden]
        normed, residual = self.attention_norm(source), source
        queries = normed
        if batch.last_only:
            queries, residual = batch.newest(normed), batch.newest(source)  # [B, 1, hidden]
        mixed = self._attend(queries, normed, batch.mask, hidden, None)  # [B, M, hidden]
        attended = self._skip(residual, mixed, 0)
        output = self._skip(attended, self._feed_forward(self.output_norm(attended)), 1)
        return [output if factors is None else output * factors[0]]

    def _feed_forward(self, normed: Tensor) -> Tensor:
        """Both dense layers, ``[B, M, hidden]``."""
        output: Tensor = self.contract(F.gelu(self.expand(normed)))
        return output

    def _skip(self, residual: Tensor, update: Tensor, place: int) -> Tensor:
        """Residual connection with dropout; ``place`` is 0 after attention, 1 after the feed-forward network."""
        return residual + self._dropped(update)

    def _dropped(self, states: Tensor) -> Tensor:
        return dropout(states, self.scaled_dropout(self.dropout, self.hidden), self.training)


class LigrBlock(PreNormBlock):
    r"""Pre-norm block with gated residual connections and SwiGLU (LiGR, Borisyuk et al. 2025; eSASRec, RecSys 2025).

    .. math:: A = X + \sigma(X W_a + b_a) \odot attention(LayerNorm(X)),
        \quad Y = A + \sigma(A W_f + b_f) \odot (silu(F W_1) \odot F W_3) W_2, \quad F = LayerNorm(A)

    As in eSASRec's program the feed-forward network has no biases, dropout also behind its product, and nothing
    normalises the last layer's output unless ``final_norm`` is set.
    """

    def __init__(self, config: SpaceConfig, layer: int, hidden: int, inner: int) -> None:
        super().__init__(config, layer, hidden, inner)
        self.skip_gates = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2))
        self.expand, self.expand_gate = (nn.Linear(hidden, inner, bias=False) for _ in range(2))
        self.contract = nn.Linear(inner, hidden, bias=False)

    def _feed_forward(self, normed: Tensor) -> Tensor:
        product = F.silu(self.expand(normed)) * self.expand_gate(normed)  # [B, M, inner]
        output: Tensor = self.contract(self._dropped(product))
        return output

    def _skip(self, residual: Tensor, update: Tensor, place: int) -> Tensor:
        gate = torch.sigmoid(self.skip_gates[place](residual))
        return residual + gate * self._dropped(update)
