"""Teacher's distributions over the items, compared with a network's position by position."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from search_spaces.autocasting import as_autocast

__all__ = ["SoftTargets", "StateTargets", "Teacher", "TopTargets"]


class SoftTargets(Protocol):
    """Distributions q of a teacher at P positions."""

    def compare(self, log_p: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """Cross entropy to a network's distributions, and the teacher's distributions.

        Parameters
        ----------
        log_p
            Log-probabilities of the network at some positions, ``[c, n_items]``.
        rows
            These positions among the P.

        Returns
        -------
        value
            Cross entropy, summed over the positions: a scalar.
        distributions
            q, such that the gradient with respect to the scores is p - q: ``[c, n_items]``, a tensor of its own.
        """


class StateTargets(NamedTuple):
    """Distributions over all items: softmax of the products of a teacher's states and item vectors.

    Attributes
    ----------
    states
        States ``[P, w]``, w the teacher's width.
    items
        Item vectors ``[n_items, w]``, divided by the temperature.
    """

    states: Tensor
    items: Tensor

    def compare(self, log_p: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """See :class:`SoftTargets`."""
        states, items = as_autocast(self.states[rows], self.items)
        q = (states @ items.T).softmax(dim=1, dtype=log_p.dtype)  # [c, n_items]
        return -torch.dot(q.view(-1), log_p.view(-1)), q


class TopTargets(NamedTuple):
    r"""Distributions of which the probabilities of some items are given, and with them the mass of the rest.

    The items that are not given count as one outcome: with :math:`r = 1 - \sum_{i \in K} q_i`,

    .. math:: -\sum_{i \in K} q_i \log p_i - r \log \Big(1 - \sum_{i \in K} p_i\Big).

    This is the cross entropy of the two distributions over K and "the rest". The teacher says how much the rest
    gets and the network how it is divided, so that no probability is invented.

    Attributes
    ----------
    items
        Item indices ``[P, k]``, from 0. A row with fewer items repeats one of them with probability 0.
    probabilities
        Probabilities ``[P, k]`` of these items.
    """

    items: Tensor
    probabilities: Tensor

    def compare(self, log_p: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """See :class:`SoftTargets`."""
        items, given = self.items[rows], self.probabilities[rows].to(log_p.dtype)  # [c, k], [c, k]
        rest = (1 - given.sum(dim=1, keepdim=True)).clamp_min(0)  # [c, 1]
        q = log_p.exp().scatter_(1, items, 0.0)  # [c, n_items], the network's own probabilities of the rest
        rest_of_network = q.sum(dim=1, keepdim=True).clamp_min(torch.finfo(q.dtype).tiny)  # [c, 1]
        value = -(given * log_p.gather(1, items)).sum() - (rest * rest_of_network.log()).sum()
        return value, q.mul_(rest / rest_of_network).scatter_add_(1, items, given)


class Teacher(Protocol):
    """Stored distributions of a teacher, by the place of the target in the interaction log."""

    def at(self, places: Tensor) -> tuple[Tensor, SoftTargets]:
        """Distributions at some positions.

        Parameters
        ----------
        places
            Places of the targets ``[P]`` in the log, in any order.

        Returns
        -------
        covered
            Whether the teacher has a distribution there, bool ``[P]``.
        targets
            Distributions at the covered positions, in their order.
        """
