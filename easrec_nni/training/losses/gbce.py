"""gBCE: binary cross entropy with negatives, calibrated for the sampling rate."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from easrec_nni.training.losses.base import ItemLoss
from easrec_nni.training.losses.negatives import score_sampled

__all__ = ["GeneralisedCrossEntropy"]


class GeneralisedCrossEntropy(ItemLoss):
    r"""Generalised binary cross entropy of gSASRec (Petrov and Macdonald, RecSys 2023).

    .. math:: -\frac{1}{k + 1} \left( \beta \log \sigma(s_+) + \sum_{j \in S \setminus +} \log(1 - \sigma(s_j)) \right),
        \quad \beta = \alpha \left( t \left(1 - \frac{1}{\alpha}\right) + \frac{1}{\alpha} \right),
        \quad \alpha = \frac{k}{n - 1}

    Sampling k of n - 1 negatives makes a network overconfident: with t = 1 the loss is least where :math:`\sigma(s)` is
    the probability of an item; with t = 0 beta is 1, which is plain binary cross entropy with k negatives (SASRec's
    with k = 1). The paper takes k = 256 and t = 0.75.

    Differs from the authors' program: negatives are shared by the positions of a batch (:mod:`.negatives`); an
    accidental hit is left out, and the other negatives of that position weigh as much as k would, so that alpha is the
    sampling rate; and alpha's denominator is the paper's n - 1, theirs is n - 2.

    Parameters
    ----------
    n_items
        Number of items in the catalogue, n.
    t
        Calibration, from 0 (none) to 1 (full).

    Examples
    --------
    >>> GeneralisedCrossEntropy(101).beta(50)
    0.625
    """

    def __init__(self, n_items: int, t: float = 0.75) -> None:
        super().__init__(n_items)
        self.t = t

    def __repr__(self) -> str:
        return f"GeneralisedCrossEntropy(n_items={self.n_items}, t={self.t})"

    def beta(self, count: int) -> float:
        """Weight of the target's term beside ``count`` negatives."""
        alpha = count / (self.n_items - 1)
        return alpha * (self.t * (1 - 1 / alpha) + 1 / alpha)

    def __call__(self, network: Any, states: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Mean gBCE over all states; see :class:`.ItemLoss`."""
        of_target, of_negatives, hits = score_sampled(network, states, targets, negatives)  # [P], [P, k], [P, k]
        count = min(hits.shape[1], self.n_items - 1)  # where all items were drawn, one is the target
        valid = (~hits).sum(dim=1).to(of_negatives)  # [P], negatives that are not the target
        # -log(1 - sigmoid(s)) = softplus(s)
        negative_term = F.softplus(of_negatives).masked_fill(hits, 0.0).sum(dim=1) * (count / valid.clamp_min(1))
        return (negative_term - self.beta(count) * F.logsigmoid(of_target)).mean() / (count + 1)
