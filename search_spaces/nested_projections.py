"""One dense layer at several widths of its input, of which each begins like the next: products are running sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from search_spaces.autocasting import as_autocast

__all__ = ["nested_projections", "segments"]


def nested_projections(states: Tensor, weight: Tensor, bias: Tensor, heads: int, widths: Sequence[int]) -> list[Tensor]:
    """Queries, keys and values of candidates that keep the first dimensions of their input and of each head.

    The product of the first 64 dimensions is a part of that of the first 96: all widths together cost what the widest
    costs alone, where one by one those of (1, 3/4, 1/2) cost 1.8 times as much. Gradients are taken in the same way.

    Parameters
    ----------
    states
        ``[B, N, d]``, of which the first dimensions are read.
    weight, bias
        ``[parts * d, d]`` and ``[parts * d]`` of the widest block, such as W_Q, W_K and W_V one below the other.
    heads
        Into which each part's outputs are cut.
    widths
        Ascending, each divided by the heads.

    Returns
    -------
    list
        For each width w ``[parts, B, heads, N, w / heads]``. They have no second derivatives.

    Examples
    --------
    >>> import torch
    >>> states, weight = torch.randn(2, 5, 8), torch.randn(24, 8)
    >>> [tuple(each.shape) for each in nested_projections(states, weight, torch.zeros(24), 2, [4, 8])]
    [(3, 2, 2, 5, 2), (3, 2, 2, 5, 4)]
    """
    found: tuple[Tensor, ...] = _Nested.apply(*as_autocast(states, weight, bias), heads, tuple(widths))
    return list(found)


class _Nested(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor, heads: int, widths: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        batch, length, full = states.shape
        parts, most = len(weight) // full, widths[-1] // heads
        rows = states.reshape(-1, full)
        # Outputs that no width keeps are left out.
        kept = weight.view(parts, heads, full // heads, full)[:, :, :most].reshape(-1, full)
        running = bias.view(parts, heads, -1)[:, :, :most].reshape(1, -1).repeat(len(rows), 1)
        shaped, found = running.view(batch, length, parts, heads, most), []
        for begin, end in segments(widths):
            running.addmm_(rows[:, begin:end], kept[:, begin:end].T)
            found.append(shaped[..., : end // heads].permute(2, 0, 3, 1, 4).contiguous())
        ctx.save_for_backward(rows, kept)
        ctx.heads, ctx.widths, ctx.shape, ctx.parts = heads, widths, states.shape, parts
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, kept = ctx.saved_tensors
        full, parts, heads = ctx.shape[-1], ctx.parts, ctx.heads
        most = ctx.widths[-1] // heads
        for_states, for_weight, for_bias = ctx.needs_input_grad[:3]
        of_states = torch.zeros_like(rows) if for_states else None
        of_weight = rows.new_zeros(parts, heads, full // heads, full) if for_weight else None
        # What comes to a segment of the input is what comes to all widths that read it: summed from the widest on.
        shaped = gradients[-1].permute(1, 3, 0, 2, 4).clone(memory_format=torch.contiguous_format)  # [B, N, parts, …]
        running = shaped.view(len(rows), -1)
        for place, (begin, end) in reversed(list(enumerate(segments(ctx.widths)))):
            if place + 1 < len(ctx.widths):
                shaped[..., : end // heads] += gradients[place].permute(1, 3, 0, 2, 4)
            if of_states is not None:
                torch.mm(running, kept[:, begin:end], out=of_states[:, begin:end])
            if of_weight is not None:
                product = running.T @ rows[:, begin:end]
                of_weight[:, :, :most, begin:end] = product.view(parts, heads, most, end - begin)
        of_bias = None
        if for_bias:
            of_bias = rows.new_zeros(parts, heads, full // heads)
            of_bias[:, :, :most] = running.sum(dim=0).view(parts, heads, most)
            of_bias = of_bias.view(-1)
        return (
            None if of_states is None else of_states.view(ctx.shape),
            None if of_weight is None else of_weight.view(-1, full),
            of_bias,
            None,
            None,
        )


def segments(widths: Sequence[int]) -> list[tuple[int, int]]:
    """Dimensions that each width adds to the one before, first and behind the last.

    Examples
    --------
    >>> segments([64, 96, 128])
    [(0, 64), (64, 96), (96, 128)]
    """
    return list(zip([0, *widths], widths, strict=False))
