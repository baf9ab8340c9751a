"""Fast path of streaming: one event per user through all layers, without torch modules.

One event takes a few hundred thousand multiply-adds, less than the call overhead of torch's modules: four layers of
``search_spaces/block.py`` with d = 128 take 1.2 ms. Here the same weights are applied with few operations on fixed
buffers; matrix-vector products use NumPy (half of torch's time); what depends only on the item (layer 1's projections,
gates) is precomputed. Tests compare the results with those of the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.evaluation.top_k import top_items
from easrec_nni.serving.bulk import embed_items
from search_spaces import EASRecNetwork
from search_spaces.attention.elu import SMALLEST_TOTAL
from search_spaces.attention.linrec import SMALLEST_NORM
from search_spaces.attention.running import has_sums
from search_spaces.block import Block

__all__ = ["StepPlan"]

Floats = NDArray[np.float32]
HALF_ROOT = 0.5**0.5
LARGEST_TABLES = 256 << 20  # bytes of precomputed values by item; beyond, they are computed per event
TABLE_CHUNK = 4096  # items per chunk when the tables are built
MAX_BUFFERS = 4  # batch sizes with cached buffers


def _transposed(weight: Tensor) -> Floats:
    """Copy ``[out, in]`` to a contiguous ``[in, out]``.

    OpenBLAS copies a transposed view in every product; for a few users that takes three times as long as the product.
    """
    return np.ascontiguousarray(weight.detach().numpy().T)


@dataclass(frozen=True)
class _Layer:
    r"""Weights of a block, laid out for ``x @ matrix``.

    With :math:`u = x / \sqrt 2`, :math:`gelu(x) = u (1 + erf(u)) / \sqrt 2`: both factors are folded into the weights.
    """

    qkv: Floats
    qkv_bias: Floats
    out: Floats
    out_bias: Floats
    expand: Floats
    expand_bias: Floats
    contract: Floats
    contract_bias: Floats
    norms: tuple[tuple[Tensor, Tensor, float], tuple[Tensor, Tensor, float]]
    block: Block

    @staticmethod
    def of(block: Block) -> _Layer:
        def pair(layer: torch.nn.Linear, weight: float = 1.0, bias: float = 1.0) -> tuple[Floats, Floats]:
            return _transposed(layer.weight * weight), (layer.bias * bias).numpy()

        first, last = (
            (norm.weight.detach(), norm.bias.detach(), norm.eps) for norm in (block.attention_norm, block.output_norm)
        )
        return _Layer(
            *pair(block.qkv),
            *pair(block.out),
            *pair(block.expand, HALF_ROOT, HALF_ROOT),
            *pair(block.contract, HALF_ROOT),
            (first, last),
            block,
        )

    def gates(self, embedding: Tensor) -> tuple[Floats, Floats] | None:
        """Values of both gates, ``[B, d]`` and ``[B, D]``, for embeddings ``[B, d]``."""
        hidden, inner = self.block.hidden_gate, self.block.inner_gate
        if hidden is None or inner is None:
            return None
        return hidden(embedding, self.block.hidden).numpy(), inner(embedding, self.block.inner).numpy()


class _Buffers:
    """Preallocated arrays and views for B users; ``…_t`` are tensors that share their memory."""

    def __init__(self, users: int, hidden: int, inner: int, heads: int, state: torch.dtype) -> None:
        width = hidden // heads
        self.qkv_t = torch.zeros(users, 3 * hidden)
        self.sum_t, self.joined_t = torch.zeros(users, hidden), torch.zeros(users, hidden)
        self.inner_t, self.erf_t = torch.zeros(users, inner), torch.zeros(users, inner)
        self.qkv, self.sum, self.joined = self.qkv_t.numpy(), self.sum_t.numpy(), self.joined_t.numpy()
        self.inner, self.erf, self.fed = self.inner_t.numpy(), self.erf_t.numpy(), np.zeros((users, hidden), np.float32)
        self.query_key_t = self.qkv_t[:, : 2 * hidden]
        self.query_key = self.qkv.reshape(users, 3 * heads, width)[:, : 2 * heads]
        is_float32 = state == torch.float32
        self.wide_t = self.qkv_t if is_float32 else torch.zeros(users, 3 * hidden, dtype=state)
        self.mixed_t = self.joined_t if is_float32 else torch.zeros(users, hidden, dtype=state)
        self.is_wide = not is_float32
        parts = self.wide_t.view(users, 3, heads, width)
        self.query, self.key, self.value = (parts[:, part] for part in range(3))  # [B, heads, d_h]
        self.query_row, self.key_column = self.query.unsqueeze(-2), self.key.unsqueeze(-1)
        self.value_row, self.mixed_row = self.value.unsqueeze(-2), self.mixed_t.view(users, heads, 1, width)


class StepPlan:
    """Weights of a network, laid out for one event at a time.

    Parameters
    ----------
    network
        Streamable network (:func:`~easrec_nni.serving.streamable.check_streamable`), on the CPU, in evaluation mode.
        The weights are read once; later changes of the network are not followed.
    state
        Data type of products and sums.
    largest_tables
        Maximum bytes of precomputed values by item; beyond, they are computed per event.
    """

    def __init__(self, network: EASRecNetwork, state: torch.dtype, largest_tables: int = LARGEST_TABLES) -> None:
        self.config, self.network, self.state = network.config, network, state
        blocks = [block for block in network.blocks() if isinstance(block, Block)]
        with torch.no_grad():
            self.layers = [_Layer.of(block) for block in blocks]
            self.items = _transposed(network.embedding.items.weight)
            self.tables = self._tables() if self._table_bytes() <= largest_tables else None
        self.has_sums = has_sums(network.config)
        self._buffers: dict[int, _Buffers] = {}

    def _table_bytes(self) -> int:
        if self.config.positions != "none":  # an item's embedding depends on its position
            return 1 << 62
        gated = sum(layer.block.hidden_gate is not None for layer in self.layers)
        width = 4 * self.config.hidden + gated * (self.config.hidden + self.config.inner)
        return 4 * width * (self.config.n_items + 1)

    def _tables(self) -> list[Any]:
        """Input, layer 1's projections and each layer's gates, for every item."""
        rows = torch.arange(self.config.n_items + 1).split(TABLE_CHUNK)
        parts = [self._precompute(embed_items(self.network, chunk[:, None], None)[:, 0]) for chunk in rows]
        inputs, projected = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        gates = [
            None if layer[0] is None else tuple(np.concatenate([gate[kind] for gate in layer]) for kind in (0, 1))
            for layer in zip(*(part[2] for part in parts), strict=True)
        ]
        return [inputs, projected, gates]

    def _precompute(self, embedding: Tensor) -> tuple[Floats, Floats, list[tuple[Floats, Floats] | None]]:
        """Input, layer 1's projections and gates, from unnormalised embeddings ``[B, d]``."""
        inputs = self.network.embedding.normalised(embedding, self.config.hidden)
        first = self.layers[0]
        return (
            inputs.numpy(),
            inputs.numpy() @ first.qkv + first.qkv_bias,
            [layer.gates(inputs) for layer in self.layers],
        )

    def _begin(self, items: NDArray[np.int64], places: NDArray[np.int64]) -> tuple[Floats, Floats, list[Any]]:
        if self.tables is None:
            ids, at = torch.from_numpy(items)[:, None], torch.from_numpy(places)[:, None]
            return self._precompute(embed_items(self.network, ids, at)[:, 0])
        inputs, projected, gates = self.tables
        return inputs[items], projected[items], [pair and (pair[0][items], pair[1][items]) for pair in gates]

    def run(self, items: NDArray[np.int64], places: NDArray[np.int64], products: Tensor, sums: Tensor) -> Tensor:
        """Run one event per user through all layers.

        Parameters
        ----------
        items
            ``[B]`` item numbers.
        places
            ``[B]`` number of events before this one, i.e. its position.
        products, sums
            ``[L, B, heads, d_h, d_h]`` and ``[L, B, heads, d_h]``, updated in place.

        Returns
        -------
        Tensor
            Network output ``[B, d]``.
        """
        buffers = self._buffers_of(len(items))
        states, projected, gates = self._begin(items, places)
        newest = torch.empty(0)
        for number, (layer, matrix, vector) in enumerate(
            zip(self.layers, products.unbind(), sums.unbind(), strict=True)
        ):
            if number == 0:
                np.copyto(buffers.qkv, projected)
            else:
                np.matmul(states, layer.qkv, out=buffers.qkv)
                np.add(buffers.qkv, layer.qkv_bias, out=buffers.qkv)
            self._attend(buffers, matrix, vector)
            newest = self._feed(layer, buffers, states, gates[number])
            states = newest.numpy()
        return newest

    def _buffers_of(self, users: int) -> _Buffers:
        if users not in self._buffers:
            if len(self._buffers) >= MAX_BUFFERS:
                self._buffers.clear()
            config = self.config
            self._buffers[users] = _Buffers(users, config.hidden, config.inner, config.heads, self.state)
        return self._buffers[users]

    def _attend(self, buffers: _Buffers, matrix: Tensor, vector: Tensor) -> None:
        """Attention of one event: heads' outputs from queries, keys and values; updates the state."""
        F.elu_(buffers.query_key_t)  # [B, 2 d]
        scale = 1.0
        if self.config.attention == "elu":
            np.add(buffers.query_key, 1, out=buffers.query_key)
        else:
            scale = (self.config.hidden // self.config.heads) ** -0.5
            by_row = self.config.key_norm == "row"
            vectors = buffers.query_key if by_row else buffers.query_key[:, : self.config.heads]
            norms = np.einsum("bij,bij->bi", vectors, vectors)  # [B, heads or 2 heads]
            np.sqrt(norms, out=norms)
            np.maximum(norms, SMALLEST_NORM, out=norms)
            np.divide(scale, norms, out=norms)
            np.multiply(vectors, norms[..., None], out=vectors)
        if buffers.is_wide:
            buffers.wide_t.copy_(buffers.qkv_t)
        matrix.addcmul_(buffers.key_column, buffers.value_row)  # [B, heads, d_h, d_h] += k v^T
        if self.has_sums:
            self._use_sums(buffers, vector, scale)
        torch.matmul(buffers.query_row, matrix, out=buffers.mixed_row)  # [B, heads, 1, d_h]
        if buffers.is_wide:
            buffers.joined_t.copy_(buffers.mixed_t)

    def _use_sums(self, buffers: _Buffers, vector: Tensor, scale: float) -> None:
        """Update the sums over keys and normalise the queries by them."""
        if self.config.attention == "elu":
            vector.add_(buffers.key)  # [B, heads, d_h]
            total = (buffers.query * vector).sum(dim=-1, keepdim=True).clamp_min_(SMALLEST_TOTAL)
            buffers.query.div_(total)
        else:
            vector.addcmul_(buffers.key, buffers.key)  # sums of squares, by key column
            buffers.query.mul_(scale / vector.clamp_min(SMALLEST_NORM**2).sqrt_())

    def _feed(self, layer: _Layer, buffers: _Buffers, states: Floats, gates: tuple[Floats, Floats] | None) -> Tensor:
        """Output projection and feed-forward network: the layer's output ``[B, d]``."""
        total, inner, erf = buffers.sum, buffers.inner, buffers.erf
        first, last = layer.norms
        width = (total.shape[1],)
        np.matmul(buffers.joined, layer.out, out=total)  # [B, d]
        np.add(total, layer.out_bias, out=total)
        np.add(total, states, out=total)
        attended = torch.layer_norm(buffers.sum_t, width, *first).numpy()
        fed = attended if gates is None else np.multiply(attended, gates[0], out=buffers.fed)
        np.matmul(fed, layer.expand, out=inner)  # [B, D]: u = x / sqrt(2), see _Layer
        np.add(inner, layer.expand_bias, out=inner)
        torch.erf(buffers.inner_t, out=buffers.erf_t)
        np.add(erf, 1, out=erf)
        np.multiply(erf, inner, out=erf)  # u (1 + erf(u)); layer.contract has the factor 1 / sqrt(2)
        if gates is not None:
            np.multiply(erf, gates[1], out=erf)
        np.matmul(erf, layer.contract, out=total)
        np.add(total, layer.contract_bias, out=total)
        np.add(total, attended, out=total)
        return torch.layer_norm(buffers.sum_t, width, *last)

    def best(self, newest: Floats, k: int, seen: Tensor | None = None) -> tuple[Floats, NDArray[np.int64]]:
        """Scores and numbers of the k best items, ``[B, k]`` each, best first.

        Scores are minus infinity if fewer than k items are left.

        Parameters
        ----------
        newest
            Network output ``[B, d]``.
        k
            Number of items, up to ``n_items``.
        seen
            ``[B, n_items + 1]``, true for items to leave out.
        """
        scores = torch.from_numpy(np.matmul(newest, self.items))
        if seen is not None:
            scores.masked_fill_(seen, -torch.inf)
        values, items = top_items(scores, k)
        return values.numpy(), items.numpy()
