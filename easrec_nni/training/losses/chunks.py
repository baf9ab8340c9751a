"""Losses of scores in chunks that stay in the cache; softmax cross entropy under autocast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from search_spaces.autocasting import as_autocast

__all__ = ["CHUNK_SCORES", "LARGEST_CHUNK_SCORES", "autocast_cross_entropy", "chunk_size", "mean_over_chunks"]

ChunkTerms = Callable[[Tensor, slice], tuple[Tensor, Tensor]]

# Scores per chunk: 4 MiB of float32, in the cache for the softmax and the gradients; 128 MiB on a GPU.
CHUNK_SCORES, LARGEST_CHUNK_SCORES = 1 << 20, 1 << 25
# States per chunk at least. With Amazon Beauty's 12,101 items and 750 states of width 64, 64 to 128 states take 44 to
# 47 ms on a CPU with bfloat16, 256 states 56 ms, all states in one piece 130 ms.
SMALLEST_CHUNK = 64


def autocast_cross_entropy(states: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Mean softmax cross entropy of states against all items, with products of autocast's type.

    Softmax and sums are those of the tensors' own type. Value and gradients are computed together; torch's
    ``linear_cross_entropy`` would make the products in float32, three times as slow on a CPU with bfloat16.

    Parameters
    ----------
    states
        States ``[positions, d]``.
    items
        Item vectors ``[n_items, d]``.
    targets
        Target indices ``[positions]``, from 0.

    Returns
    -------
    Tensor
        Scalar, without second derivatives.

    Examples
    --------
    >>> autocast_cross_entropy(torch.zeros(3, 2), torch.ones(5, 2), torch.tensor([0, 4, 2]))
    tensor(1.6094)
    """

    def terms(scores: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        goals = targets[rows, None]
        probabilities = scores.softmax(dim=1)
        value = -_log_of_targets(probabilities, scores, goals).sum()
        return value, probabilities.scatter_add_(1, goals, probabilities.new_full(goals.shape, -1.0))

    return mean_over_chunks(states, items, terms)


def mean_over_chunks(states: Tensor, items: Tensor, terms: ChunkTerms) -> Tensor:
    """Mean over states of a loss of their scores, computed chunk by chunk together with its gradients.

    Memory does not grow with the states. Under autocast the products are those of its type.

    Parameters
    ----------
    states
        States ``[positions, d]``.
    items
        Item vectors ``[n_items, d]``.
    terms
        Function of the scores ``[c, n_items]`` of some states, in float32 or wider, and of their places, which returns
        the loss, summed, and its gradient with respect to the scores.

    Returns
    -------
    Tensor
        Scalar, without second derivatives.
    """
    loss: Tensor = _MeanOverChunks.apply(states, items, terms)
    return loss


def chunk_size(n_items: int, is_cuda: bool = False) -> int:
    """Number of states per chunk, for a catalogue size.

    Examples
    --------
    >>> chunk_size(1682), chunk_size(12101), chunk_size(164532)
    (623, 86, 64)
    """
    return max(SMALLEST_CHUNK, (LARGEST_CHUNK_SCORES if is_cuda else CHUNK_SCORES) // n_items)


class _MeanOverChunks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, items: Tensor, terms: ChunkTerms) -> Tensor:
        of_states, of_items = as_autocast(states, items)
        exact = torch.promote_types(items.dtype, torch.float32)
        total = torch.zeros((), dtype=exact, device=states.device)
        learns = any(ctx.needs_input_grad)
        gradients = [torch.zeros_like(states), torch.zeros_like(items)] if learns else []
        chunk = chunk_size(len(items), states.is_cuda)
        for begin in range(0, len(states), chunk):
            rows = slice(begin, begin + chunk)
            value, gradient = terms((of_states[rows] @ of_items.T).to(exact), rows)
            total += value
            if learns:
                gradient = gradient.to(of_items.dtype)
                gradients[0][rows] = gradient @ of_items
                gradients[1].add_(gradient.T @ of_states[rows])
        ctx.save_for_backward(*(gradient.div_(len(states)) for gradient in gradients))
        return total / len(states)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        of_states, of_items = ctx.saved_tensors
        return outer[0] * of_states, outer[0] * of_items, None


def _log_of_targets(probabilities: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
    """Logarithms of the targets' probabilities, ``[k, 1]``; from the scores if one of them underflowed."""
    of_targets = probabilities.gather(1, targets)
    if bool((of_targets < torch.finfo(of_targets.dtype).tiny).any()):
        return scores.log_softmax(dim=1).gather(1, targets)
    return of_targets.log()
