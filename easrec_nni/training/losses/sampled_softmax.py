"""Sampled softmax: cross entropy over sampled items with logQ correction."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from easrec_nni.training.losses.base import ItemLoss
from easrec_nni.training.losses.negatives import score_sampled

__all__ = ["SampledSoftmax"]


class SampledSoftmax(ItemLoss):
    r"""Sampled softmax with logQ correction.

    .. math:: -\log \frac{e^{s_+}}{e^{s_+} + \sum_{j \in S \setminus +} e^{s_j - \log Q}}, \quad
        Q = \frac{|S \setminus +|}{n - 1}

    Q is the probability with which each of the other n - 1 items is in the sample S (drawn uniformly without
    replacement, accidental hits taken out), so that the denominator's expectation is the full softmax's. The target is
    always in it, and therefore is not corrected (Khrylchenko et al., "Correcting the LogQ Correction", RecSys 2025;
    Bengio and Senécal 2008 and most programs subtract log Q from its score too). With all items as negatives it is the
    full softmax; the fewer there are, the more the logarithm of an estimated denominator is below that of the true one.

    Examples
    --------
    >>> SampledSoftmax(100)
    SampledSoftmax(n_items=100)
    """

    def __call__(self, network: Any, states: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        """Mean sampled softmax loss over all states; see :class:`.ItemLoss`."""
        of_target, of_negatives, hits = score_sampled(network, states, targets, negatives)  # [P], [P, k], [P, k]
        valid = (~hits).sum(dim=1, keepdim=True).to(of_negatives)  # [P, 1]
        log_q = (valid.clamp_min(1) / (self.n_items - 1)).log()  # at least 1: log(0) if all are hits
        scores = (of_negatives - log_q).masked_fill(hits, -torch.inf)  # [P, k]
        return (torch.cat([of_target[:, None], scores], dim=1).logsumexp(dim=1) - of_target).mean()
