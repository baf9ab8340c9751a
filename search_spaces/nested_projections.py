"""Dense layers at nested input widths, computed as running sums of products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from search_spaces.autocasting import as_autocast

__all__ = ["nested_projections", "segments"]


def nested_projections(states: Tensor, weight: Tensor, bias: Tensor, heads: int, widths: Sequence[int]) -> list[Tensor]:
    """Queries, keys and values for several widths of the input and of each head.

    The product of the first 64 dimensions is part of that of the first 96, so that all widths cost as much as the
    widest; separately, widths of (1, 3/4, 1/2) cost 1.8 times as much. Gradients are computed likewise.

    Parameters
    ----------
    states
        ``[B, N, d]``, of which the first dimensions are read.
    weight, bias
        ``[parts * d, d]`` and ``[parts * d]`` of the widest block, such as W_Q, W_K and W_V one below the other.
    heads
        Number of heads that each part is split into.
    widths
        Ascending widths, multiples of the number of heads.

    Returns
    -------
    list
        ``[parts, B, heads, N, w / heads]`` for each width w, without second derivatives.

    Examples
    --------
    >>> import torch
    >>> states, weight = torch.randn(2, 5, 8), torch.randn(24, 8)
    >>> [tuple(part.shape) for part in nested_projections(states, weight, torch.zeros(24), 2, [4, 8])]
    [(3, 2, 2, 5, 2), (3, 2, 2, 5, 4)]
    """
    projections: tuple[Tensor, ...] = _Nested.apply(*as_autocast(states, weight, bias), heads, tuple(widths))
    return list(projections)


class _Nested(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor, heads: int, widths: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        batch, length, full = states.shape
        parts, most = len(weight) // full, widths[-1] // heads
        rows = states.reshape(-1, full)
        # Only outputs that some width keeps.
        weight_rows = weight.view(parts, heads, full // heads, full)[:, :, :most].reshape(-1, full)
        running = bias.view(parts, heads, -1)[:, :, :most].reshape(1, -1).repeat(len(rows), 1)
        shaped, projections = running.view(batch, length, parts, heads, most), []  # a view: follows the running sums
        for begin, end in segments(widths):
            # x[:, :end] W[:, :end]^T = x[:, :begin] W[:, :begin]^T + x[:, begin:end] W[:, begin:end]^T
            running.addmm_(rows[:, begin:end], weight_rows[:, begin:end].T)
            projections.append(shaped[..., : end // heads].permute(2, 0, 3, 1, 4).contiguous())
        ctx.save_for_backward(rows, weight_rows)
        ctx.heads, ctx.widths, ctx.shape, ctx.parts = heads, widths, states.shape, parts
        return tuple(projections)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight_rows = ctx.saved_tensors
        full, parts, heads = ctx.shape[-1], ctx.parts, ctx.heads
        most = ctx.widths[-1] // heads
        needs_states, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad_states = torch.zeros_like(rows) if needs_states else None
        grad_weight = rows.new_zeros(parts, heads, full // heads, full) if needs_weight else None
        # A segment of the input gets the gradients of all widths that read it: running sums from the widest down.
        shaped = gradients[-1].permute(1, 3, 0, 2, 4).clone(memory_format=torch.contiguous_format)  # [B, N, parts, …]
        running = shaped.view(len(rows), -1)
        for place, (begin, end) in reversed(list(enumerate(segments(ctx.widths)))):
            if place + 1 < len(ctx.widths):
                shaped[..., : end // heads] += gradients[place].permute(1, 3, 0, 2, 4)
            if grad_states is not None:
                torch.mm(running, weight_rows[:, begin:end], out=grad_states[:, begin:end])
            if grad_weight is not None:
                product = running.T @ rows[:, begin:end]
                grad_weight[:, :, :most, begin:end] = product.view(parts, heads, most, end - begin)
        grad_bias = None
        if needs_bias:
            grad_bias = rows.new_zeros(parts, heads, full // heads)
            grad_bias[:, :, :most] = running.sum(dim=0).view(parts, heads, most)
            grad_bias = grad_bias.view(-1)
        return (
            None if grad_states is None else grad_states.view(ctx.shape),
            None if grad_weight is None else grad_weight.view(-1, full),
            grad_bias,
            None,
            None,
        )


def segments(widths: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of dimensions (first, end) that each width adds to the previous one.

    Examples
    --------
    >>> segments([64, 96, 128])
    [(0, 64), (64, 96), (96, 128)]
    """
    return list(zip([0, *widths], widths, strict=False))
