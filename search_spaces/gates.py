"""Data-aware gates of the feed-forward networks in deep layers (Eq. 6, 7)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DataAwareGate"]


class DataAwareGate(nn.Module):
    r"""Data-aware gate of Eq. 6 and 7, between 0 and :math:`\gamma`.

    .. math:: \delta = \gamma \, sigmoid(ReLU(X W_1 + b_1) W_2 + b_2)

    Table V's ablation has one dense layer (:math:`\gamma\,sigmoid(X W + b)`) or no gate at all. The first
    layer keeps the width of its input, which the paper does not specify.

    Parameters
    ----------
    width
        Width of the embedding X.
    out_width
        Width of the gate: hidden for gate 1, inner for gate 2.
    layers
        Number of dense layers, 1 or 2.
    scale
        gamma of Eq. 7.
    """

    def __init__(self, width: int, out_width: int, layers: int, scale: float) -> None:
        super().__init__()
        if layers not in (1, 2):
            raise ValueError(f"a gate has 1 or 2 dense layers, not {layers}")
        self.scale = scale
        self.crossing = nn.Linear(width, width) if layers == 2 else None
        self.perception = nn.Linear(width, out_width)

    def forward(self, embedding: Tensor, out_width: int, scaled: bool = True) -> Tensor:
        """Gate values, computed with the first columns of the weights.

        Parameters
        ----------
        embedding
            ``[B, N, h]``, h up to the gate's width.
        out_width
            Number of outputs, up to the gate's own.
        scaled
            Whether to multiply by gamma; if not, the caller does.

        Returns
        -------
        Tensor
            ``[B, N, out_width]``.
        """
        width = embedding.shape[-1]
        if self.crossing is not None:
            weight, bias = self.crossing.weight[:width, :width], self.crossing.bias[:width]
            embedding = F.linear(embedding, weight, bias).relu()
        weight, bias = self.perception.weight[:out_width, :width], self.perception.bias[:out_width]
        values = torch.sigmoid(F.linear(embedding, weight, bias))
        return self.scale * values if scaled else values

    def sliced_state(self, width: int, out_width: int) -> dict[str, Tensor]:
        """Weights of the gate that keeps the first columns."""
        state = {
            "perception.weight": self.perception.weight[:out_width, :width],
            "perception.bias": self.perception.bias[:out_width],
        }
        if self.crossing is not None:
            state |= {
                "crossing.weight": self.crossing.weight[:width, :width],
                "crossing.bias": self.crossing.bias[:width],
            }
        return state
