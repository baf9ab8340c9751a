"""``easrec table study``: regret of multi-trial strategies over many simulated searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from easrec_nni.tabular.comparing import bootstrap_interval
from easrec_nni.tabular.regret import regret
from easrec_nni.tabular.simulation import SimulatedSearch, TabularEvaluator, simulate

__all__ = ["StudiedStrategy", "study_rows", "study_strategies"]


@dataclass(frozen=True)
class StudiedStrategy:
    """Simulated searches of one strategy.

    Attributes
    ----------
    name
        Name of the strategy.
    searches
        Its searches, one per seed.
    regrets
        Regret in nats of the best architecture after each number of trials, ``[seeds][trials]``: the reward that it
        misses of the space's best, by test figures averaged over the table's seeds.
    """

    name: str
    searches: Sequence[SimulatedSearch]
    regrets: Sequence[Sequence[float]]

    @property
    def final(self) -> Mapping[int, float]:
        """Regret after the last trial, by seed."""
        return {search.seed: curve[-1] for search, curve in zip(self.searches, self.regrets, strict=True)}


def study_strategies(
    evaluator: TabularEvaluator,
    names: Sequence[str],
    seeds: int,
    trials: int,
    on_search: Callable[[], None] = lambda: None,
) -> list[StudiedStrategy]:
    """Simulate searches of several strategies.

    Parameters
    ----------
    evaluator
        Rewards.
    names
        Strategies.
    seeds
        Number of searches per strategy.
    trials
        Architectures per search.
    on_search
        Called after each search.
    """
    truth = {entry: evaluator.truth(entry) for entry in evaluator.table.entries}
    best = max(truth.values())
    studied = []
    for name in names:
        searches = []
        for seed in range(seeds):
            searches.append(simulate(evaluator, name, seed, trials))
            on_search()
        regrets = [[best - truth[entry] for entry in search.incumbents(trials)] for search in searches]
        studied.append(StudiedStrategy(name, searches, regrets))
    return studied


def study_rows(
    evaluator: TabularEvaluator, studied: Sequence[StudiedStrategy], kind: str | None
) -> list[dict[str, str | int | float | None]]:
    """Rows of ``curves.csv``: for each strategy and number of trials, means over its searches.

    Parameters
    ----------
    evaluator
        Rewards of the searches.
    studied
        Results of :func:`study_strategies`.
    kind
        Kind of cost of the regret at the architecture's own cost.
    """
    table = evaluator.table
    own_cost = {entry: regret(table, entry, kind) for entry in table.entries}
    rows: list[dict[str, str | int | float | None]] = []
    for strategy in studied:
        curves = np.array(strategy.regrets)
        chosen = [search.incumbents(curves.shape[1]) for search in strategy.searches]
        epochs = [_epochs(evaluator, search, curves.shape[1]) for search in strategy.searches]
        for trial in range(curves.shape[1]):
            interval = bootstrap_interval(curves[:, trial].tolist())
            found = [own_cost[entries[trial]] for entries in chosen]
            rows.append(
                {
                    "strategy": strategy.name,
                    "searches": len(curves),
                    "trials": trial + 1,
                    "epochs": float(np.mean([values[trial] for values in epochs])),
                    f"regret_nats_{table.tested}": float(curves[:, trial].mean()),
                    "low": interval.low if interval else None,
                    "high": interval.high if interval else None,
                    f"regret_at_own_cost_share_{table.tested}": float(np.mean([each.relative for each in found])),
                    "cost_share": float(np.mean([each.relative_cost for each in found])),
                }
            )
    return rows


def _epochs(evaluator: TabularEvaluator, search: SimulatedSearch, trials: int) -> list[float]:
    """Epochs that training the first 1, 2, … architectures of a search took."""
    seed = evaluator.table_seed(search.seed)
    spent = np.cumsum([entry.runs[seed]["epochs"] for entry in search.entries])
    return [float(spent[min(trial, len(spent) - 1)]) for trial in range(trials)]
