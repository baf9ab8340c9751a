"""Dynamic resource constraint of Eq. 15, differentiable in alpha and beta."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from strategies.selection import Selection

__all__ = ["CostTable", "ResourceConstraint"]

# Cost of a candidate at a depth: table[candidate label][depth].
CostTable = Mapping[str, Mapping[int, float]]


class ResourceConstraint:
    r"""Resource constraint of Eq. 15.

    .. math:: L_{RC} = \frac{L_t}{L} \sum_j \sum_i p_i q_j \, cost_{ij}

    NNI's penalty has no gradient, as it takes probabilities as plain numbers; this one uses the tensors that also mix
    the network's outputs.

    Parameters
    ----------
    table
        Normalised cost by candidate label and depth (largest architecture = 1). With cumulative costs over layers, beta
        learns from them. With one block's cost per depth (the equation as printed) it hardly does: the sum over j is
        constant for equal blocks, and only those without gates (by default layer 1) are cheaper.
    selection
        Selection with the options that the table must cover.
    width_label, depth_label
        Labels of the two choices.
    dynamic
        Whether to apply the factor L_t / L.

    Raises
    ------
    ValueError
        The table lacks an architecture of the space, or has a cost that is negative or not finite.
    """

    def __init__(
        self,
        table: CostTable,
        selection: Selection,
        width_label: str = "pruning",
        depth_label: str = "depth",
        dynamic: bool = True,
    ) -> None:
        self.width_label, self.depth_label, self.dynamic = width_label, depth_label, dynamic
        candidates, self.depths = selection.options[width_label], [int(str(d)) for d in selection.options[depth_label]]
        try:
            self._rows = [[float(table[str(candidate)][depth]) for depth in self.depths] for candidate in candidates]
        except KeyError as missing:
            raise ValueError(f"the cost table has no entry for {missing} of the space") from None
        self.table = torch.tensor(self._rows)  # [m, depths]
        if not (self.table.isfinite().all() and (self.table >= 0).all()):
            raise ValueError("the cost table has entries that are negative or not finite")

    def expected(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Expected cost under drawn weights, the scalar ``p^T table q``."""
        p, q = weights[self.width_label], weights[self.depth_label]
        return p @ self.table.to(p.device, p.dtype) @ q

    def within(self, budget: float) -> list[dict[str, int]]:
        """Architectures that cost at most a budget: indices of their options by label, as in :class:`Selection`.

        Raises
        ------
        ValueError
            There is none; the message names the smallest budget.
        """
        places = [(width, depth) for width, row in enumerate(self._rows) for depth, c in enumerate(row) if c <= budget]
        if not places:
            cheapest = min(cost for row in self._rows for cost in row)
            raise ValueError(f"no architecture costs {budget:g} or less; the cheapest costs {cheapest:g}")
        return [{self.width_label: width, self.depth_label: depth} for width, depth in places]

    def __call__(self, weights: Mapping[str, Tensor], depth: int) -> Tensor:
        """Value of Eq. 15.

        Parameters
        ----------
        weights
            Drawn p and q by label, ``[m]`` and ``[depths]``.
        depth
            L_t, the depth of the largest beta.
        """
        return self.factor(depth) * self.expected(weights)

    def factor(self, depth: int) -> float:
        """Factor ``L_t / L``, or 1 for the static constraint."""
        return depth / max(self.depths) if self.dynamic else 1.0
