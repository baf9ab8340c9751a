"""Multi-trial searches without training: NNI's strategies draw architectures, whose figures come from a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.searching.candidates import log_linear_reward
from easrec_nni.searching.nni_engine import BudgetSpent, run_multi_trial
from easrec_nni.tabular.table import ArchitectureTable, TableEntry
from search_spaces import EASRecSpace
from strategies import MULTI_TRIAL_STRATEGIES

__all__ = ["SimulatedSearch", "TabularEvaluator", "check_strategies", "simulate"]


class TabularEvaluator:
    """Rewards of architectures from a table, as :mod:`~easrec_nni.searching.by_trials` makes them from trainings.

    All architectures of a search have one seed of the table, as the candidates of a real search have one seed.

    Parameters
    ----------
    table
        A table in which every architecture of the space has a run with a common seed.
    lambda_
        Trade-off between accuracy and cost (:func:`~easrec_nni.searching.candidates.log_linear_reward`).
    kind
        Kind of cost; the table's default by default.

    Raises
    ------
    UserError
        No seed of the table is complete, or it has no such cost.
    """

    def __init__(self, table: ArchitectureTable, lambda_: float = 0.0, kind: str | None = None) -> None:
        self.table, self.lambda_ = table, lambda_
        self.seeds = table.document.complete_seeds
        if not self.seeds:
            raise UserError("no seed of the table has all architectures yet: `easrec table build` goes on with it")
        largest = table.cost(table.largest, kind)
        self.costs = {entry.choice: table.cost(entry, kind) / largest for entry in table.entries}

    def table_seed(self, seed: int) -> int:
        """Seed of the table for a search's seed: the complete seeds take turns."""
        return self.seeds[seed % len(self.seeds)]

    def reward(self, entry: TableEntry, seed: int) -> float:
        """Reward of an architecture's validation figure in the search with a seed."""
        return self._reward(entry, entry.runs[self.table_seed(seed)][self.table.selecting])

    def truth(self, entry: TableEntry) -> float:
        """Reward of an architecture's test figure, mean over the complete seeds."""
        figures = [entry.runs[seed][self.table.tested] for seed in self.seeds]
        return self._reward(entry, sum(figures) / len(figures))

    def _reward(self, entry: TableEntry, figure: float) -> float:
        return log_linear_reward(figure, self.costs[entry.choice], self.lambda_, self.table.space.n_items)


@dataclass(frozen=True)
class SimulatedSearch:
    """Architectures that a strategy drew, without repetition, with their rewards."""

    strategy: str
    seed: int
    entries: list[TableEntry]
    rewards: list[float]

    def incumbents(self, trials: int) -> list[TableEntry]:
        """Architecture of the highest reward after each number of trials; the first of equals.

        Parameters
        ----------
        trials
            Length of the list; a search that ended earlier keeps its last one.
        """
        best = 0
        found = []
        for trial in range(trials):
            if trial < len(self.entries) and self.rewards[trial] > self.rewards[best]:
                best = trial
            found.append(self.entries[best])
        return found


def check_strategies(names: list[str]) -> list[str]:
    """Names of multi-trial strategies.

    Raises
    ------
    UserError
        A name is not one of :data:`~strategies.MULTI_TRIAL_STRATEGIES`.
    """
    for name in names:
        if name not in MULTI_TRIAL_STRATEGIES:
            raise UserError(f"there is no multi-trial strategy {name!r}; {did_you_mean(name, MULTI_TRIAL_STRATEGIES)}")
    return names


def simulate(evaluator: TabularEvaluator, strategy: str, seed: int, trials: int) -> SimulatedSearch:
    """Run a strategy on a table.

    Parameters
    ----------
    evaluator
        Rewards.
    strategy
        Name in :data:`~strategies.MULTI_TRIAL_STRATEGIES`.
    seed
        Seed of the strategy's draws and of the evaluator.
    trials
        Largest number of different architectures; a repeated one costs no trial, as in a real search.
    """
    table = evaluator.table
    rewards: dict[TableEntry, float] = {}

    def reward(sample: dict[str, Any]) -> float:
        if len(rewards) == len(table.entries):
            raise BudgetSpent
        entry = table.query(sample)
        if entry not in rewards:
            if len(rewards) == trials:
                raise BudgetSpent
            rewards[entry] = evaluator.reward(entry, seed)
        return rewards[entry]

    make: Callable[[int], Any] = MULTI_TRIAL_STRATEGIES[strategy]
    with torch.device("meta"):  # only the choices are needed, no weights
        space = EASRecSpace(table.space)
    run_multi_trial(make(seed), space, reward)
    return SimulatedSearch(strategy, seed, list(rewards), list(rewards.values()))
