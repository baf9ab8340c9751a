"""Distillation: the loss of a network that learns from targets and from a teacher's distributions."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from easrec_nni.training.losses.base import ItemLoss
from easrec_nni.training.losses.chunks import mean_over_chunks
from easrec_nni.training.losses.soft_targets import SoftTargets, Teacher
from easrec_nni.training.losses.softmax import Softmax

__all__ = ["Distilled", "distilled_cross_entropy"]


class Distilled(ItemLoss):
    r"""Loss with a teacher (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015).

    .. math:: (1 - w) L + w \tau^2 \Big(-\sum_i q_i \log p_i\Big), \quad
        q = \mathrm{softmax}(z_{teacher} / \tau), \quad p = \mathrm{softmax}(z / \tau)

    with the loss L of the targets. :math:`\tau^2` keeps the size of the second term's gradient at any temperature. A
    position at which the teacher has no distribution has the loss L alone.

    Parameters
    ----------
    loss
        Loss of the targets, L.
    teacher
        Stored distributions q.
    weight
        Weight w of the teacher.
    temperature
        Temperature of the network's scores, which is also the one of q.
    """

    def __init__(self, loss: ItemLoss, teacher: Teacher, weight: float, temperature: float = 1.0) -> None:
        super().__init__(loss.n_items)
        self.loss, self.teacher, self.weight, self.temperature = loss, teacher, weight, temperature
        self.needs_negatives = loss.needs_negatives

    def __repr__(self) -> str:
        return f"Distilled({self.loss!r}, weight={self.weight}, temperature={self.temperature})"

    def __call__(
        self,
        network: Any,
        states: Tensor,
        targets: Tensor,
        negatives: Tensor | None,
        places: Tensor | None = None,
    ) -> Tensor:
        """Mean loss over all states; see :class:`.ItemLoss`.

        Parameters
        ----------
        network, states, targets, negatives
            As in :class:`.ItemLoss`.
        places
            Places of the targets in the interaction log, ``[positions]``.

        Raises
        ------
        ValueError
            The batch has no places.
        """
        if places is None:
            raise ValueError("a teacher's distributions belong to places of the log, and the batch has none")
        covered, soft = self.teacher.at(places)
        if covered.all():
            return self._with_teacher(network, states, targets, negatives, soft)
        if not covered.any():
            return self.loss(network, states, targets, negatives)
        share = int(covered.sum()) / len(covered)
        alone = self.loss(network, states[~covered], targets[~covered], negatives)
        return (1 - share) * alone + share * self._with_teacher(
            network, states[covered], targets[covered], negatives, soft
        )

    def _with_teacher(
        self, network: Any, states: Tensor, targets: Tensor, negatives: Tensor | None, soft: SoftTargets
    ) -> Tensor:
        if isinstance(self.loss, Softmax):  # both terms from the same scores
            items, places = network.item_vectors(), targets - 1
            both = distilled_cross_entropy(states, items, places, soft, self.weight, self.temperature)
            return both + (1 - self.weight) * self.loss.smoothing(states, items, places)
        hard = self.loss(network, states, targets, negatives)
        softened = distilled_cross_entropy(states, network.item_vectors(), targets - 1, soft, 1.0, self.temperature)
        return (1 - self.weight) * hard + self.weight * softened


def distilled_cross_entropy(
    states: Tensor, items: Tensor, targets: Tensor, soft: SoftTargets, weight: float, temperature: float = 1.0
) -> Tensor:
    """Mean of the cross entropies to targets and to a teacher, over all items.

    Scores of the network and of the teacher are computed in chunks of states, each with its gradients, so that memory
    does not grow with the states; under autocast the products are those of its type.

    Parameters
    ----------
    states
        States ``[positions, d]``.
    items
        Item vectors ``[n_items, d]``.
    targets
        Target indices ``[positions]``, from 0.
    soft
        Distributions of the teacher at the positions, at the temperature.
    weight, temperature
        As in :class:`Distilled`.

    Returns
    -------
    Tensor
        Scalar, without second derivatives.
    """
    return mean_over_chunks(
        states,
        items,
        lambda scores, rows: _chunk_terms(scores, targets[rows], soft, rows, weight, temperature),
    )


def _chunk_terms(
    scores: Tensor, targets: Tensor, soft: SoftTargets, rows: slice, weight: float, temperature: float
) -> tuple[Tensor, Tensor]:
    """Loss of a chunk, summed, and its gradient with respect to the scores, ``[c, n_items]`` both."""
    log_p = scores.log_softmax(dim=1)
    softened = log_p if temperature == 1 else (scores / temperature).log_softmax(dim=1)
    hard = -log_p.gather(1, targets[:, None]).sum()
    value, q = soft.compare(softened, rows)
    value = (1 - weight) * hard + weight * temperature**2 * value
    # In place, as each copy of the chunk costs as much as an exponential.
    if temperature == 1:
        gradient = log_p.exp_().sub_(q, alpha=weight)
    else:
        gradient = log_p.exp_().mul_(1 - weight).add_(softened.exp_().sub_(q), alpha=weight * temperature)
    return value, gradient.scatter_add_(1, targets[:, None], gradient.new_full((len(targets), 1), weight - 1))
