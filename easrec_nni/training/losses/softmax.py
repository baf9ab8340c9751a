"""Full softmax over the catalogue (Eq. 12, 13), the default."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import LinearCrossEntropyOptions

from easrec_nni.training.losses.base import ItemLoss
from easrec_nni.training.losses.chunks import CHUNK_SCORES, LARGEST_CHUNK_SCORES, autocast_cross_entropy

__all__ = ["Softmax", "item_cross_entropy"]

# Largest number of scores computed in one piece: 2^22 float32 are 16 MiB, about the size of a cache.
LARGEST_SCORES = 1 << 22
# Chunks of CHUNK_SCORES above that: with MovieLens-1M's 3,416 items and 8,192 positions, loss and gradients take 0.58
# of the unchunked time. For large catalogues, matrix products need more positions per chunk to be efficient.
SMALLEST_CHUNK = 256


class Softmax(ItemLoss):
    r"""Softmax cross entropy over all items (Eq. 13): :func:`item_cross_entropy`.

    With label smoothing (Szegedy et al., CVPR 2016) the target distribution is :math:`1 - \epsilon` at the target plus
    :math:`\epsilon / n` at each of the n items.

    Parameters
    ----------
    n_items
        Number of items in the catalogue.
    label_smoothing
        Share :math:`\epsilon` of the probability that is spread over all items.
    """

    needs_negatives = False

    def __init__(self, n_items: int, label_smoothing: float = 0.0) -> None:
        super().__init__(n_items)
        self.label_smoothing = label_smoothing

    def __call__(self, network: Any, states: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Mean cross entropy over all states; ``negatives`` is ignored, as all items compete."""
        items = network.item_vectors()
        return item_cross_entropy(states, items, targets - 1) + self.smoothing(states, items, targets - 1)

    def smoothing(self, states: Tensor, items: Tensor, targets: Tensor) -> Tensor | float:
        """What label smoothing adds to the mean cross entropy; 0 without it or without states.

        Parameters
        ----------
        states, items, targets
            As in :func:`item_cross_entropy`.
        """
        if self.label_smoothing == 0:
            return 0.0
        # log Z - (1 - e) s_t - e mean(s) = (log Z - s_t) + e (s_t - mean(s)): no further scores are needed.
        exact = states.to(items.dtype)  # from bfloat16 in mixed precision
        above_mean = (exact * (items[targets] - items.mean(0))).sum()
        return self.label_smoothing * above_mean / max(1, len(targets))


def item_cross_entropy(states: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Mean softmax cross entropy of states against all items, with scores as dot products.

    Scores are computed in chunks of states, each with its gradients, so that they stay in the cache and memory does not
    grow with the states: Gowalla's 164,532 items at 4,000 positions are 2.5 GiB otherwise, several times over. Small
    problems are computed in one piece, which is faster.

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
        Scalar; in chunks without second derivatives.

    Examples
    --------
    >>> import torch
    >>> item_cross_entropy(torch.zeros(3, 2), torch.ones(5, 2), torch.tensor([0, 4, 2]))
    tensor(1.6094)
    """
    if torch.is_autocast_enabled(states.device.type):
        return autocast_cross_entropy(states, items, targets)
    if states.shape[0] * items.shape[0] <= LARGEST_SCORES:
        return F.cross_entropy(states @ items.T, targets)
    # Retaining the graph allows a second backward pass, as in one piece; it costs one more gradient of the items.
    options = LinearCrossEntropyOptions(batch_chunk_size=states_per_chunk(items.shape[0]), allow_retain_graph=True)
    return F.linear_cross_entropy(states, items, targets, options=options)


def states_per_chunk(n_items: int) -> int:
    """Number of states per chunk, for a catalogue size."""
    return max(1, min(max(SMALLEST_CHUNK, CHUNK_SCORES // n_items), LARGEST_CHUNK_SCORES // n_items))
