"""Full softmax over the catalogue (Eq. 12, 13), the default."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import LinearCrossEntropyOptions

from easrec_nni.training.losses.base import ItemLoss

__all__ = ["Softmax", "item_cross_entropy"]

# Scores of all positions and items that are held at once: 2^22 float32 are 16 MiB, about what stays in a cache.
LARGEST_SCORES = 1 << 22
# Above that, scores of a chunk of positions: 4 MiB, which the softmax and the gradients then meet in the cache. At
# MovieLens-1M's 3,416 items and 8,192 positions loss and gradients take 0.58 of the plain way's time.
CHUNK_SCORES = 1 << 20
# Over a large catalogue the matrix products want more positions than that, and memory allows this much (128 MiB).
SMALLEST_CHUNK, LARGEST_CHUNK_SCORES = 256, 1 << 25


class Softmax(ItemLoss):
    """Softmax cross entropy over all items (Eq. 13): :func:`item_cross_entropy`."""

    needs_negatives = False

    def __call__(self, network: Any, states: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """The mean over all states; negatives are not looked at, as every other item is one."""
        return item_cross_entropy(states, network.item_vectors(), targets - 1)


def item_cross_entropy(states: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Mean over states of the softmax cross entropy of their products with all items.

    The products of a chunk of states are made at a time and their gradients taken at once, so that they stay in a cache
    and memory does not grow with the states: Gowalla's 164,532 items at 4,000 positions are 2.5 GiB otherwise, several
    times over. Where all products are few, they take the plain way, which is faster there.

    Parameters
    ----------
    states
        ``[positions, d]``.
    items
        ``[n_items, d]``.
    targets
        ``[positions]``, from 0.

    Returns
    -------
    Tensor
        A number. In chunks it has no second derivatives.

    Examples
    --------
    >>> import torch
    >>> item_cross_entropy(torch.zeros(3, 2), torch.ones(5, 2), torch.tensor([0, 4, 2]))
    tensor(1.6094)
    """
    count = states.shape[0] * items.shape[0]
    if torch.is_autocast_enabled(states.device.type) and count <= LARGEST_CHUNK_SCORES:
        # In chunks torch makes the products in float32: three times the time on a CPU that knows bfloat16.
        return F.cross_entropy((states @ items.T).float(), targets)
    if count <= LARGEST_SCORES:
        return F.cross_entropy(states @ items.T, targets)
    # With the graph retained both ways may be differentiated again alike; it costs one more gradient of the items.
    options = LinearCrossEntropyOptions(batch_chunk_size=_chunk(items.shape[0]), allow_retain_graph=True)
    return F.linear_cross_entropy(states, items, targets, options=options)


def _chunk(n_items: int) -> int:
    """States whose products with all items are made at a time."""
    return max(1, min(max(SMALLEST_CHUNK, CHUNK_SCORES // n_items), LARGEST_CHUNK_SCORES // n_items))
