"""CORE's head: sessions are weighted sums of their items, scored by cosine similarity."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.config import SpaceConfig
from search_spaces.dropout import dropout
from search_spaces.embedding import Batch
from search_spaces.exponent import SMALLEST_SUM, clipped_exp

__all__ = ["CoreHead"]

# Shorter vectors have no direction: sums over no items, or items zeroed by dropout.
SMALLEST_NORM = 1e-6


class CoreHead(nn.Module):
    r"""Encoder and distance of CORE (Hou et al., SIGIR 2022, CORE-trm).

    .. math:: r = \sum_s \alpha_s x_s, \quad \alpha = softmax(w^T Y), \quad
        z_i = \frac{r^T e_i}{\tau \, \|r\| \|e_i\|}

    with item embeddings x without positions and the transformer's output Y. In training, dropout is applied to x and,
    independently, to e.

    In causal networks position t is a session that ends there: the softmax runs over positions up to t, so that all
    positions are trained at once. It is computed as a running sum of exponentials, width_mask within float32 by
    :func:`~search_spaces.exponent.clipped_exp`. A bidirectional network has one session for the whole sequence.

    Vectors of a pruned candidate are masked to its width before they are normalised, so that the compact network equals
    the supernet.

    Differs from RecBole 1.2.1: w has no bias, to which a softmax is invariant; both dropouts use the network's rate.

    Parameters
    ----------
    config
        Configuration with ``core_temperature`` (tau), ``direction``, ``dropout`` and ``hidden``.
    width_mask
        Mask of the hidden dimensions that the selected candidate keeps
        (:class:`~search_spaces.candidates.WidthMasks`); None without a choice.
    """

    def __init__(self, config: SpaceConfig, width_mask: nn.Module | None = None) -> None:
        super().__init__()
        self.temperature, self.causal, self.dropout = (
            config.core_temperature,
            config.direction == "causal",
            config.dropout,
        )
        self.energy = nn.Linear(config.hidden, 1, bias=False)
        self.width_mask = width_mask

    def forward(self, states: Tensor, batch: Batch, newest_only: bool) -> Tensor:
        """Unit vectors of sessions.

        Parameters
        ----------
        states
            ``[B, N, d]``, Y at every position.
        batch
            Batch with the items to sum.
        newest_only
            Whether to compute only the session up to the newest interaction.

        Returns
        -------
        Tensor
            ``[B, N, d]`` or ``[B, 1, d]``, of length one; zero without interactions.
        """
        assert batch.items is not None
        weights = clipped_exp(self.energy(states)) * batch.mask[..., None].to(states.dtype)  # [B, N, 1]
        session = weights * batch.items  # [B, N, d]
        if self.causal and not newest_only:
            session, total = session.cumsum(dim=1), weights.cumsum(dim=1)  # [B, N, d], [B, N, 1]
        else:
            session, total = session.sum(dim=1, keepdim=True), weights.sum(dim=1, keepdim=True)
        directions = self._directions(session / total.clamp_min(SMALLEST_SUM))
        return directions if newest_only else directions.expand_as(states)

    def vectors(self, table: Tensor) -> Tensor:
        """Unit vectors of items ``[n, d]`` divided by the temperature, with dropout in training."""
        return self._directions(dropout(table, self.dropout, self.training)) / self.temperature

    def _directions(self, vectors: Tensor) -> Tensor:
        if self.width_mask is not None:
            vectors = vectors * self.width_mask(vectors)
        return F.normalize(vectors, dim=-1, eps=SMALLEST_NORM)

    def sliced_state(self, width: int) -> dict[str, Tensor]:
        """Weights of the head that keeps the first ``width`` dimensions."""
        return {"energy.weight": self.energy.weight[:, :width]}
