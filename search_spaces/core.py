"""CORE's head: a session is a weighted sum of its own items, compared with all items by their directions."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.config import SpaceConfig
from search_spaces.dropout import dropout
from search_spaces.embedding import Batch
from search_spaces.exponent import SMALLEST_SUM, clipped_exp

__all__ = ["CoreHead"]

# A vector shorter than this has no direction: the sum over no items, or an item that dropout has emptied.
SMALLEST_NORM = 1e-6


class CoreHead(nn.Module):
    r"""Representation-consistent encoder and robust distance of CORE (Hou et al., SIGIR 2022, CORE-trm).

    .. math:: r = \sum_s \alpha_s x_s, \quad \alpha = softmax(w^T Y), \quad
        z_i = \frac{r^T e_i}{\tau \, \|r\| \|e_i\|}

    with the items' embeddings x without positions and what the transformer makes of the session, Y. While training,
    elements of x and, drawn by themselves, of e are dropped.

    With a causal direction the state at position t is a session that ends there: the softmax runs over the positions
    up to t, so that all positions can be trained at once. It is a running sum of exponentials; see
    :func:`~search_spaces.exponent.clipped_exp` for what keeps it within float32. A bidirectional network has one
    session for the whole sequence, the same at every position.

    A pruned candidate's vectors are cut to its width before their directions are taken, so that the compact network
    gives what the supernet does.

    Differs from RecBole 1.2.1: w has no bias, which a softmax would not notice; both dropouts are the network's own.

    Parameters
    ----------
    config
        ``core_temperature`` (tau), ``direction``, ``dropout`` and the width.
    kept
        Mask of the hidden dimensions that the chosen candidate keeps, where there is a choice: a
        :class:`~search_spaces.candidates.KeptDimensions`.
    """

    def __init__(self, config: SpaceConfig, kept: nn.Module | None = None) -> None:
        super().__init__()
        self.temperature, self.causal, self.dropout = (
            config.core_temperature,
            config.direction == "causal",
            config.dropout,
        )
        self.energy = nn.Linear(config.hidden, 1, bias=False)
        self.kept = kept

    def forward(self, states: Tensor, batch: Batch, newest_only: bool) -> Tensor:
        """Directions of sessions.

        Parameters
        ----------
        states
            ``[B, N, d]``, Y at every position.
        batch
            Whose items are added up.
        newest_only
            Whether the session up to the newest interaction is enough.

        Returns
        -------
        Tensor
            ``[B, N, d]``, or ``[B, 1, d]``; of length one, or zero where there is no interaction.
        """
        assert batch.items is not None
        weights = clipped_exp(self.energy(states)) * batch.mask[..., None].to(states.dtype)  # [B, N, 1]
        session = weights * batch.items  # [B, N, d]
        if self.causal and not newest_only:
            session, total = session.cumsum(dim=1), weights.cumsum(dim=1)
        else:
            session, total = session.sum(dim=1, keepdim=True), weights.sum(dim=1, keepdim=True)
        directions = self._directions(session / total.clamp_min(SMALLEST_SUM))
        return directions if newest_only else directions.expand_as(states)

    def vectors(self, table: Tensor) -> Tensor:
        """Directions of items ``[n, d]``, divided by the temperature; while training, with a new draw of dropout."""
        return self._directions(dropout(table, self.dropout, self.training)) / self.temperature

    def _directions(self, vectors: Tensor) -> Tensor:
        if self.kept is not None:
            vectors = vectors * self.kept(vectors)
        return F.normalize(vectors, dim=-1, eps=SMALLEST_NORM)

    def sliced_state(self, width: int) -> dict[str, Tensor]:
        """Weights when only the first ``width`` dimensions are kept."""
        return {"energy.weight": self.energy.weight[:, :width]}
