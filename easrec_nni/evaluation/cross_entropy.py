"""Cross entropy of the targets, a selection metric without a cut-off."""

from __future__ import annotations

import torch
from torch import Tensor

from easrec_nni.evaluation.ranks import checked_scores

__all__ = ["target_cross_entropy"]


def target_cross_entropy(scores: Tensor, targets: Tensor, unknown: Tensor | None = None) -> Tensor:
    r"""Cross entropy of each target under the softmax over all items, in nats.

    .. math:: -s_{target} + \log \sum_{i = 1}^{n} e^{s_i}

    Parameters
    ----------
    scores
        Scores ``[B, n_items + 1]``, column 0 = padding.
    targets
        Target items ``[B]``.
    unknown
        Items excluded for all users, because they first appear later; never a target.

    Returns
    -------
    Tensor
        ``[B]`` float32.

    Raises
    ------
    DivergedError
        A score is NaN.

    Examples
    --------
    >>> scores = torch.tensor([[9.0, 0.0, 0.0]])
    >>> round(float(target_cross_entropy(scores, torch.tensor([2]))), 4)
    0.6931
    """
    scores = checked_scores(scores).float()
    if unknown is not None:
        scores = scores.index_fill(1, unknown, -torch.inf)
    return scores[:, 1:].logsumexp(dim=1) - scores.gather(1, targets[:, None])[:, 0]
