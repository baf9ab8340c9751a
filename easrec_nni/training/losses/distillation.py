"""Softmax cross entropy of several networks at once, the smaller ones distilled from the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from easrec_nni.training.losses.softmax import states_per_chunk
from search_spaces.autocasting import as_autocast

__all__ = ["NetworkOutput", "distilled_cross_entropy"]


class NetworkOutput(NamedTuple):
    """States and item vectors of one of the networks.

    Attributes
    ----------
    states
        ``[k, w]``, states of the network's width w.
    items
        ``[n_items, w]``, vectors that it scores items with.
    rows
        ``[k]``, ascending numbers of the states' targets among those of the first network.
    """

    states: Tensor
    items: Tensor
    rows: Tensor


def distilled_cross_entropy(networks: Sequence[NetworkOutput], targets: Tensor, weight: float) -> Tensor:
    r"""Mean over the networks of their cross entropies, each a mean over its own states.

    The first network, the teacher, learns from the targets. Another one with distribution q learns from

    .. math:: -\sum_i t_i \log q_i, \quad t = (1 - weight) \, onehot + weight \, p

    with the first network's distribution p over all items at the same position, as a constant: in-place distillation
    (Yu and Huang, ICCV 2019) without a temperature.

    Scores are computed in chunks of positions, each with its gradients, so that the teacher's distribution is used
    while it is in the cache, and memory does not grow with the number of positions.

    Parameters
    ----------
    networks
        Output of each network; the first one has a state for every target.
    targets
        Target indices ``[positions]``, from 0.
    weight
        Weight of the teacher's distribution, from 0 (targets alone) to 1.

    Returns
    -------
    Tensor
        Scalar, without second derivatives.

    Examples
    --------
    >>> states, items, rows = torch.zeros(3, 2), torch.ones(5, 2), torch.arange(3)
    >>> distilled_cross_entropy([NetworkOutput(states, items, rows)] * 2, torch.tensor([0, 4, 2]), 0.5)
    tensor(1.6094)
    """
    tensors = [tensor for network in networks for tensor in (network.states, network.items)]
    rows = [network.rows for network in networks]
    loss: Tensor = _Distilled.apply(targets, rows, weight, *tensors)
    return loss


class _Network:
    """Loss and gradients of one network, summed over chunks of its states.

    Parameters
    ----------
    states, items
        States ``[k, w]`` and item vectors ``[n_items, w]``.
    learns
        Whether to compute gradients.
    """

    def __init__(self, states: Tensor, items: Tensor, learns: bool) -> None:
        self.states, self.items = as_autocast(states, items)
        self.loss = states.new_zeros((), dtype=torch.promote_types(states.dtype, torch.float32))
        self.gradients = [torch.zeros_like(states), torch.zeros_like(items)] if learns else []

    def log_distribution(self, begin: int, end: int) -> Tensor:
        """Logarithms of the distributions over all items of some of the states, ``[chunk, n_items]``."""
        scores = self.states[begin:end] @ self.items.T
        return scores.to(self.loss.dtype).log_softmax(dim=-1)

    def learn(self, begin: int, end: int, residual: Tensor) -> None:
        """Add gradients by that of the scores, ``residual [chunk, n_items]``."""
        if self.gradients:
            residual = residual.to(self.states.dtype)
            self.gradients[0][begin:end] = residual @ self.items
            self.gradients[1] += residual.T @ self.states[begin:end]


class _Distilled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, targets: Tensor, rows: Sequence[Tensor], weight: float, *tensors: Tensor) -> Tensor:
        learns = any(ctx.needs_input_grad)
        networks = [_Network(*pair, learns) for pair in zip(tensors[::2], tensors[1::2], strict=True)]
        size = states_per_chunk(tensors[1].shape[0])
        first_positions = torch.arange(0, len(targets) + size, size, device=targets.device)
        # Places of the chunks in each network's states, [networks, chunks + 1].
        places = [torch.searchsorted(numbers, first_positions).tolist() for numbers in rows]
        for chunk in range(len(first_positions) - 1):
            parts = [(place[chunk], place[chunk + 1]) for place in places]
            _add_chunk(networks, parts, rows, targets, weight)
        factors = [1 / (len(networks) * max(1, len(numbers))) for numbers in rows]
        gradients = [
            gradient * factor
            for network, factor in zip(networks, factors, strict=True)
            for gradient in network.gradients
        ]
        ctx.save_for_backward(*gradients)
        return sum((f * network.loss for network, f in zip(networks, factors, strict=True)), networks[0].loss * 0)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> Any:
        return None, None, None, *(outer * gradient for gradient in ctx.saved_tensors)


def _add_chunk(
    networks: Sequence[_Network],
    parts: Sequence[tuple[int, int]],
    rows: Sequence[Tensor],
    targets: Tensor,
    weight: float,
) -> None:
    """Add losses and gradients of a chunk of positions, whose states have the places ``parts`` in each network."""
    begin, end = parts[0]
    chunk_targets = targets[begin:end, None]  # [chunk, 1]
    logarithms = networks[0].log_distribution(begin, end)
    networks[0].loss -= logarithms.gather(1, chunk_targets).sum()
    teacher = logarithms.exp_()  # [chunk, n_items]
    for network, (first, last), numbers in zip(networks[1:], parts[1:], rows[1:], strict=True):
        if first == last:
            continue
        places = numbers[first:last] - begin  # [k] in the chunk
        own_targets = chunk_targets[places]
        logarithms = network.log_distribution(first, last)  # [k, n_items]
        network.loss -= (1 - weight) * logarithms.gather(1, own_targets).sum()
        soft = teacher[places] if weight else None
        if soft is not None:
            network.loss -= weight * torch.dot(soft.view(-1), logarithms.view(-1))
        residual = logarithms.exp_()
        if soft is not None:
            residual.sub_(soft, alpha=weight)
        network.learn(first, last, residual.scatter_add_(1, own_targets, _constant(own_targets, residual, weight - 1)))
    networks[0].learn(begin, end, teacher.scatter_add_(1, chunk_targets, _constant(chunk_targets, teacher, -1.0)))


def _constant(places: Tensor, like: Tensor, value: float) -> Tensor:
    return torch.full_like(places, value, dtype=like.dtype)
