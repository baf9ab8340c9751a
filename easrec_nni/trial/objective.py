"""Objective of the tuner: NDCG, NDCG under a cost ceiling, or NDCG minus weighted cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from easrec_nni.architecture.cost import Cost, architecture_cost
from easrec_nni.common.documents import Value
from easrec_nni.evaluation.selection import MONITOR, SELECTED
from easrec_nni.settings.trial import ObjectiveSettings
from easrec_nni.training.context import TrialContext
from search_spaces import Choice, SpaceConfig

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """Objective of a trial, reported as ``default``.

    Attributes
    ----------
    settings
        Kind of the objective, and its numbers.
    space
        Space of the network; weighted cost is a share of its largest network's.
    figure
        Name of the NDCG@10 by which trials are compared.
    cost_of
        Function that counts an architecture's cost, by default on a full history alone.
    """

    settings: ObjectiveSettings
    space: SpaceConfig
    figure: str = MONITOR
    cost_of: Callable[[Choice], Cost] | None = None

    @classmethod
    def of(cls, context: TrialContext) -> Objective:
        """Objective of a trial over its space."""
        return cls(context.settings.objective, context.space, context.figure, context.cost)

    def value(self, ndcg: float, cost: Mapping[str, float]) -> float:
        r"""Value to maximise.

        ``ndcg``: the NDCG. ``ceiling``: the NDCG of networks within the ceiling, and the negative
        :math:`1 - cost / ceiling` of the others. Any network within the ceiling beats any above it, and above it the
        cheaper network wins, so that a tuner without a feasible network finds the direction (Deb, "An efficient
        constraint handling method for genetic algorithms", 2000). ``weighted``:
        :math:`NDCG - weight \cdot cost / cost_{unpruned}`.

        Parameters
        ----------
        ndcg
            Validation NDCG@10 over the selection users, in the ranking by which trials are compared.
        cost
            Cost figures of the network, among them the objective's.
        """
        settings = self.settings
        if settings.kind == "ndcg" or settings.cost not in cost:
            return ndcg
        if settings.ceiling is not None:
            return ndcg if self.is_feasible(cost) else 1.0 - cost[settings.cost] / settings.ceiling
        assert settings.weight is not None
        return ndcg - settings.weight * cost[settings.cost] / self._unpruned()

    def is_feasible(self, cost: Mapping[str, float]) -> bool:
        """Whether a network is within the ceiling; True without a ceiling or without that cost."""
        ceiling, name = self.settings.ceiling, self.settings.cost
        return ceiling is None or name not in cost or cost[name] <= ceiling

    def epoch_value(self, ndcg: float, choices: Mapping[str, float] | None) -> float:
        """Objective of an epoch; the NDCG if the cost, such as time, is not known yet.

        Parameters
        ----------
        ndcg
            Validation NDCG@10 (full ranking) over the selection users.
        choices
            ``hidden_pruning``, ``inner_pruning`` and ``depth`` of the validated network.
        """
        if self.settings.kind == "ndcg" or choices is None:
            return ndcg
        return self.value(ndcg, self._cost(Choice(**{name: choices[name] for name in Choice.model_fields})))

    def keys(self, ndcg: float, cost: Mapping[str, float]) -> dict[str, Value]:
        """Keys of the final result: ``default`` and its components."""
        keys: dict[str, Value] = {"default": self.value(ndcg, cost), f"{SELECTED}{self.figure}": ndcg}
        keys["objective"] = self.settings.kind
        if self.settings.ceiling is not None:
            # A number, not a boolean: the web UI plots and sorts only numbers.
            keys |= {"feasible": int(self.is_feasible(cost)), "ceiling": self.settings.ceiling}
        return keys

    def _cost(self, choice: Choice) -> dict[str, float]:
        cost = architecture_cost(self.space, choice) if self.cost_of is None else self.cost_of(choice)
        return cost.as_dict()

    def _unpruned(self) -> float:
        return self._cost(self.space.largest)[self.settings.cost]
