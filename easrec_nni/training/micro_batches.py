"""Losses of large batches, taken part by part: activations stay in a cache, and memory does not grow with the batch.

A training step at the shape of MovieLens-1M (64 sequences of 200 positions, d = 128, D = 256, 4 layers) moves gigabytes
of activations through memory otherwise, and on a CPU the moves, and the page faults of blocks that are released and
taken anew, cost as much as a third of the arithmetic. The result is that of the whole batch: see :func:`loss_in_parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch
from search_spaces.chunks import split_by_positions

__all__ = ["BatchPart", "CACHED_VALUES", "leaves_of", "loss_in_parts", "parts_of"]

# Values of a layer's widest activation that a part may have: 2^19 float32 are 2 MiB, of which a backward pass meets
# several at a time. Measured on two cores with 1 MiB of second-level cache each: 8 and 16 sequences of 200 at D = 256
# took the least time, 4 and 64 sequences up to 1.4 times as much.
CACHED_VALUES = 1 << 19


class BatchPart(NamedTuple):
    """Some sequences of a batch and the share that their loss has in the batch's mean."""

    batch: TrainingBatch
    share: float


def parts_of(batch: TrainingBatch, width: int, positions: int | None = None) -> list[BatchPart]:
    """Cut a batch into parts of few enough positions, each without padding that all its sequences have.

    Parameters
    ----------
    batch
        Sequences padded on the left.
    width
        Width of the widest activation, the larger of d and D.
    positions
        Positions of a part, padding included; as many as :data:`CACHED_VALUES` allow at this width by default.

    Returns
    -------
    list
        One part or more; their shares sum to one. Parts without any target are left out.
    """
    lengths = (batch.ids != 0).sum(1).tolist()
    counts = (batch.targets != 0).reshape(len(lengths), -1).sum(1).tolist()
    total = sum(counts)
    most = CACHED_VALUES // width if positions is None else positions
    if len(lengths) * batch.ids.shape[1] <= most or total == 0:
        return [BatchPart(batch, 1.0)]
    return [
        BatchPart(_rows(batch, begin, end, max(lengths[begin:end])), sum(counts[begin:end]) / total)
        for begin, end in split_by_positions(lengths, most)
        if sum(counts[begin:end])
    ]


def _rows(batch: TrainingBatch, begin: int, end: int, longest: int) -> TrainingBatch:
    """Rows of a batch, from the first column in which one of them has an item."""
    first = batch.ids.shape[1] - max(longest, 1)
    targets = batch.targets[begin:end]
    targets = targets[:, first:] if targets.dim() == 2 else targets
    return batch._replace(ids=batch.ids[begin:end, first:], targets=targets)


def loss_in_parts(loss_of: Callable[[TrainingBatch], Tensor], parts: Sequence[BatchPart]) -> Tensor:
    """Loss of a batch from those of its parts, with one part's activations in memory at a time.

    The batch's loss is the mean over its targets, and so the sum of the parts' means, each times its share of the
    targets: L = Σ s_p L_p, Σ s_p = 1. The gradient is linear, ∂L/∂w = Σ s_p ∂L_p/∂w: each part's gradients can be taken
    as soon as its loss is there, and its activations released before the next part. What is handed on when L is
    differentiated are these sums, those of the whole batch up to rounding. A network that draws dropout draws it part
    by part.

    Parameters
    ----------
    loss_of
        Mean loss of a part over its targets.
    parts
        See :func:`parts_of`.

    Returns
    -------
    Tensor
        A number, with gradients for whatever leaves the losses depend on, but without second derivatives.
    """
    if len(parts) == 1 or not torch.is_grad_enabled():
        return torch.stack([share * loss_of(part) for part, share in parts]).sum()
    gradients: dict[Tensor, Tensor] = {}
    values = [_accumulate(loss_of, part, gradients) for part in parts]
    return _PrecomputedGradients.of(torch.stack(values).sum(), gradients)


def leaves_of(loss: Tensor) -> list[Tensor]:
    """Tensors that a loss is to be differentiated by.

    Autograd's graph leads from the loss to a node for each of them, which holds it as its ``variable``.
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
    """Add s_p ∂L_p/∂w of a part to the gradients of each w; returns s_p L_p. Its activations go when this returns."""
    loss = part.share * loss_of(part.batch)
    leaves = leaves_of(loss)
    # Parts share what the architecture's weights were drawn with, which the first must leave to the next.
    for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves, retain_graph=True), strict=True):
        gradients[leaf] = gradients[leaf].add_(gradient) if leaf in gradients else gradient.clone()
    return loss.detach()


class _PrecomputedGradients(torch.autograd.Function):
    """A number whose gradients have been computed; autograd takes them for those of a function of the leaves."""

    @staticmethod
    def of(value: Tensor, gradients: Mapping[Tensor, Tensor]) -> Tensor:
        """The number as a function of the leaves, the keys."""
        result: Tensor = _PrecomputedGradients.apply(value, tuple(gradients.values()), *gradients)
        return result

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor], *leaves: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        return None, None, *(outer[0] * gradient for gradient in ctx.saved_tensors)
