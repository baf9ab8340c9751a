"""Micro-batches: the loss of a large batch part by part, with constant activation memory.

A training step at the shape of MovieLens-1M (64 sequences of 200 positions, d = 128, D = 256, 4 layers) moves gigabytes
of activations through memory otherwise. On a CPU this traffic, with the page faults of freed and reallocated blocks,
costs as much as a third of the arithmetic. The result is that of the whole batch: see :func:`loss_in_parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch
from search_spaces.chunks import split_by_positions

__all__ = ["BatchPart", "CACHED_VALUES", "leaves_of", "loss_in_parts", "parts_of"]

# Values of a layer's widest activation in a part: 2^19 float32 are 2 MiB, and a backward pass uses several at a time.
# Measured on two cores with 1 MiB of L2 cache each: 8 and 16 sequences of 200 at D = 256 were fastest, 4 and 64
# sequences took up to 1.4 times as long.
CACHED_VALUES = 1 << 19


class BatchPart(NamedTuple):
    """Part of a batch: some of its sequences, and the share of their loss in the batch's mean."""

    batch: TrainingBatch
    share: float


def parts_of(batch: TrainingBatch, width: int, positions: int | None = None) -> list[BatchPart]:
    """Split a batch into parts of limited size, without the padding common to a part's sequences.

    Parameters
    ----------
    batch
        Sequences padded on the left.
    width
        Width of the widest activation, the larger of d and D.
    positions
        Largest number of positions in a part, padding included; by default from :data:`CACHED_VALUES` and the width.

    Returns
    -------
    list
        One or more parts; their shares sum to one. Parts without targets are left out.
    """
    lengths = (batch.ids != 0).sum(1).tolist()  # [B]
    counts = (batch.targets != 0).reshape(len(lengths), -1).sum(1).tolist()  # [B], targets per sequence
    total = sum(counts)
    most = CACHED_VALUES // width if positions is None else positions
    if len(lengths) * batch.ids.shape[1] <= most or total == 0:
        return [BatchPart(batch, 1.0)]
    return [
        BatchPart(
            batch.of_rows(slice(begin, end), batch.ids.shape[1] - max(1, *lengths[begin:end])),
            sum(counts[begin:end]) / total,
        )
        for begin, end in split_by_positions(lengths, most)
        if sum(counts[begin:end])
    ]


def loss_in_parts(loss_of: Callable[[TrainingBatch], Tensor], parts: Sequence[BatchPart]) -> Tensor:
    """Loss of a batch from its parts, with the activations of one part in memory at a time.

    The batch's loss is the mean over its targets, and so the sum of the parts' means, each times its share of the
    targets: L = Σ s_p L_p, Σ s_p = 1. The gradient is linear, ∂L/∂w = Σ s_p ∂L_p/∂w: each part's gradients can be taken
    as soon as its loss is computed, and its activations freed before the next part. Differentiating L then returns
    these precomputed sums, equal to the gradients of the whole batch up to rounding. Dropout is drawn part by part.

    Parameters
    ----------
    loss_of
        Function that returns the mean loss of a part over its targets.
    parts
        Parts from :func:`parts_of`.

    Returns
    -------
    Tensor
        Scalar, with gradients for all leaves that the losses depend on, but without second derivatives.
    """
    if len(parts) == 1 or not torch.is_grad_enabled():
        return torch.stack([share * loss_of(part) for part, share in parts]).sum()
    gradients: dict[Tensor, Tensor] = {}
    values = [_accumulate(loss_of, part, gradients) for part in parts]
    return _PrecomputedGradients.of(torch.stack(values).sum(), gradients)


def leaves_of(loss: Tensor) -> list[Tensor]:
    """Leaf tensors of a loss, found by walking its autograd graph.

    The graph leads from the loss to an accumulation node for each leaf, which holds it as ``variable``.
    """
    leaves, visited, stack = [], set(), [loss.grad_fn]
    while stack:
        node: Any = stack.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        stack.extend(below for below, _ in node.next_functions)
    return leaves


def _accumulate(loss_of: Callable[[TrainingBatch], Tensor], part: BatchPart, gradients: dict[Tensor, Tensor]) -> Tensor:
    """Add s_p ∂L_p/∂w of a part to ``gradients`` and return s_p L_p, detached."""
    loss = part.share * loss_of(part.batch)
    leaves = leaves_of(loss)
    # Parts share the graph of the drawn architecture weights: the first part must retain it for the next.
    for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves, retain_graph=True), strict=True):
        gradients[leaf] = gradients[leaf].add_(gradient) if leaf in gradients else gradient.clone()
    return loss.detach()


class _PrecomputedGradients(torch.autograd.Function):
    """Autograd function that returns a value and backpropagates precomputed gradients."""

    @staticmethod
    def of(value: Tensor, gradients: Mapping[Tensor, Tensor]) -> Tensor:
        """Attach precomputed gradients, keyed by leaf, to a value."""
        result: Tensor = _PrecomputedGradients.apply(value, tuple(gradients.values()), *gradients)
        return result

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor], *leaves: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        return None, None, *(outer[0] * gradient for gradient in ctx.saved_tensors)
