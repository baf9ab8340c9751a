"""What a tuner maximises: NDCG, NDCG under a ceiling of cost, or NDCG less a price for cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.common.documents import Value
from easrec_nni.evaluation.selection import MONITOR, SELECTED
from easrec_nni.settings.trial import ObjectiveSettings
from easrec_nni.training.context import TrialContext
from search_spaces import Choice, SpaceConfig

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """The value that a trial reports as ``default``.

    Attributes
    ----------
    settings
        Which of the three, and its numbers.
    space
        The space that the network is of; the price of cost is for a share of its largest network.
    figure
        Figure that selects, as ``select_by`` names it.
    """

    settings: ObjectiveSettings
    space: SpaceConfig
    figure: str = MONITOR

    @classmethod
    def of(cls, context: TrialContext) -> Objective:
        """Objective of a trial over its space."""
        return cls(context.settings.objective, context.space, context.settings.select_by)

    def value(self, ndcg: float, cost: Mapping[str, float]) -> float:
        r"""What is maximised.

        ``ndcg``: the NDCG. ``ceiling``: the NDCG of networks that cost no more than the ceiling, and
        :math:`1 - cost / ceiling`, which is negative, of the others: any network below the ceiling is better than any
        above it, and of those the cheaper is the better, so that a tuner that met none below knows where to go (the
        rule of Deb, "An efficient constraint handling method for genetic algorithms", 2000). ``weighted``:
        :math:`NDCG - weight \cdot cost / cost_{unpruned}`.

        Parameters
        ----------
        ndcg
            Validation NDCG@10 of the users that select, in the ranking that selects.
        cost
            Figures of the network, among them the one that the objective names.
        """
        chosen = self.settings
        if chosen.kind == "ndcg" or chosen.cost not in cost:
            return ndcg
        if chosen.ceiling is not None:
            return ndcg if self.is_feasible(cost) else 1.0 - cost[chosen.cost] / chosen.ceiling
        assert chosen.weight is not None
        return ndcg - chosen.weight * cost[chosen.cost] / self._unpruned()

    def is_feasible(self, cost: Mapping[str, float]) -> bool:
        """Whether a network is below the ceiling, if there is one; what has no such cost is."""
        ceiling, name = self.settings.ceiling, self.settings.cost
        return ceiling is None or name not in cost or cost[name] <= ceiling

    def epoch_value(self, ndcg: float, choices: Mapping[str, float] | None) -> float:
        """The same in the middle of a search or a retraining, where time is not measured: without it, the NDCG.

        Parameters
        ----------
        ndcg
            As of :meth:`value`.
        choices
            ``hidden_pruning``, ``inner_pruning`` and ``depth`` of the network that was validated.
        """
        if self.settings.kind == "ndcg" or choices is None:
            return ndcg
        return self.value(ndcg, self._cost(Choice(**{name: choices[name] for name in Choice.model_fields})))

    def keys(self, ndcg: float, cost: Mapping[str, float]) -> dict[str, Value]:
        """Keys of the final result that say what ``default`` is made of."""
        known: dict[str, Value] = {"default": self.value(ndcg, cost), f"{SELECTED}{self.figure}": ndcg}
        known["objective"] = self.settings.kind
        if self.settings.ceiling is not None:
            # A number, not true or false: the web UI draws and sorts numbers alone.
            known |= {"feasible": int(self.is_feasible(cost)), "ceiling": self.settings.ceiling}
        return known

    def _cost(self, choice: Choice) -> dict[str, float]:
        return architecture_cost(self.space, choice).as_dict()

    def _unpruned(self) -> float:
        return self._cost(self.space.largest)[self.settings.cost]
