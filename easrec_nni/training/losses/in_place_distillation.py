"""Softmax cross entropy of several networks at once, the smaller ones distilled from the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from easrec_nni.training.losses.chunks import chunk_size
from search_spaces.autocasting import as_autocast

__all__ = ["NetworkOutput", "in_place_cross_entropy"]


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


def in_place_cross_entropy(networks: Sequence[NetworkOutput], targets: Tensor, weight: float) -> Tensor:
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
    >>> in_place_cross_entropy([NetworkOutput(states, items, rows)] * 2, torch.tensor([0, 4, 2]), 0.5)
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

    def add_loss(
        self, begin: int, end: int, targets: Tensor, teacher: Tensor | None = None, weight: float = 0.0
    ) -> Tensor:
        """Add the losses of a chunk of states and return their distributions over all items, ``[k, n_items]``.

        A probability of the target below the smallest number of its type counts as that number in the loss.

        Parameters
        ----------
        begin, end
            The chunk's places among the states.
        targets
            Target indices ``[k, 1]``.
        teacher
            Distributions ``[k, n_items]`` that count with ``weight`` beside the targets.
        weight
            From 0 to 1.
        """
        scores = (self.states[begin:end] @ self.items.T).to(self.loss.dtype)
        distribution = scores.softmax(dim=-1)  # faster than log_softmax, whose exponential the gradients would need
        smallest = torch.finfo(distribution.dtype).tiny
        log_target = distribution.gather(1, targets).clamp_min_(smallest).log_()  # [k, 1]
        self.loss -= log_target.sum()
        if teacher is not None:
            # log q = scores - c, c = score of the target - log q of the target; the sum of p is 1.
            of_target = scores.gather(1, targets)
            of_teacher = torch.dot(teacher.view(-1), scores.view(-1))
            self.loss -= weight * (of_teacher - of_target.sum())
        return distribution

    def add_gradients(self, begin: int, end: int, residual: Tensor) -> None:
        """Add the gradients of a chunk of states by that of their scores, ``[k, n_items]``."""
        if self.gradients:
            residual = residual.to(self.states.dtype)
            self.gradients[0][begin:end] = residual @ self.items
            self.gradients[1] += residual.T @ self.states[begin:end]


class _Distilled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, targets: Tensor, rows: Sequence[Tensor], weight: float, *tensors: Tensor) -> Tensor:
        learns = any(ctx.needs_input_grad)
        networks = [_Network(*pair, learns) for pair in zip(tensors[::2], tensors[1::2], strict=True)]
        size = chunk_size(len(tensors[1]), tensors[1].is_cuda)
        first_positions = torch.arange(0, len(targets) + size, size, device=targets.device)
        # Places of the chunks in each network's states, [networks, chunks + 1].
        places = [torch.searchsorted(numbers, first_positions).tolist() for numbers in rows]
        for chunk in range(len(first_positions) - 1):
            parts = [(place[chunk], place[chunk + 1]) for place in places]
            _add_chunk(networks, parts, rows, targets[:, None], weight)
        factors = [1 / (len(networks) * max(1, len(numbers))) for numbers in rows]
        gradients = [
            gradient.mul_(factor)
            for network, factor in zip(networks, factors, strict=True)
            for gradient in network.gradients
        ]
        ctx.save_for_backward(*gradients)
        return torch.stack([factor * network.loss for network, factor in zip(networks, factors, strict=True)]).sum()

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
    teacher = networks[0].add_loss(begin, end, targets[begin:end])  # [chunk, n_items]
    for network, (first, last), numbers in zip(networks[1:], parts[1:], rows[1:], strict=True):
        if first == last:
            continue
        places = numbers[first:last]
        soft = teacher[places - begin] if weight else None
        residual = network.add_loss(first, last, targets[places], soft, weight)
        if soft is not None:
            residual.sub_(soft, alpha=weight)
        network.add_gradients(first, last, _subtract_at(residual, targets[places], 1 - weight))
    networks[0].add_gradients(begin, end, _subtract_at(teacher, targets[begin:end], 1.0))


def _subtract_at(values: Tensor, places: Tensor, number: float) -> Tensor:
    """Subtract a number from the values at the places ``[k, 1]`` of each row, in place."""
    return values.scatter_add_(1, places, torch.full_like(places, -number, dtype=values.dtype))
