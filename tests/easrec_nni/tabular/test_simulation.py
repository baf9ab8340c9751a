from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.searching import by_trials
from easrec_nni.searching.candidates import ndcg_of_chance
from easrec_nni.searching.stage import search
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.tabular import simulation
from easrec_nni.tabular.simulation import TabularEvaluator, simulate
from easrec_nni.tabular.table import ArchitectureTable
from search_spaces import Choice, SpaceConfig
from strategies import MULTI_TRIAL_STRATEGIES

STRATEGIES = list(MULTI_TRIAL_STRATEGIES)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_rewards_are_those_of_the_tables_values(strategy: str, make_table) -> None:
    table = ArchitectureTable(make_table())
    evaluator = TabularEvaluator(table, lambda_=0.3)
    largest = table.largest.costs["madds_per_user"]
    for seed in range(3):
        done = simulate(evaluator, strategy, seed, trials=9)
        assert len(done.entries) == len({entry.choice for entry in done.entries}) == 9
        for entry, reward in zip(done.entries, done.rewards, strict=True):
            ndcg, cost = entry.runs[seed]["valid_ndcg@10_unseen"], entry.costs["madds_per_user"] / largest
            assert reward == pytest.approx(math.log(ndcg / ndcg_of_chance(500)) - 0.3 * cost)
        assert simulate(evaluator, strategy, seed, trials=9) == done, "a search is a function of its seed"


def test_a_search_without_a_limit_draws_the_whole_space(make_table) -> None:
    table = ArchitectureTable(make_table())
    evaluator = TabularEvaluator(table)
    done = simulate(evaluator, "random", 5, trials=100)
    assert {entry.choice for entry in done.entries} == set(table.space.architectures())
    best = max(table.entries, key=lambda entry: entry.runs[2]["valid_ndcg@10_unseen"])  # 5 mod 3 seeds
    assert done.incumbents(40)[-1] is best
    rewards = [evaluator.reward(entry, 5) for entry in done.incumbents(18)]
    assert rewards == [max(done.rewards[: number + 1]) for number in range(18)]


def test_a_table_that_is_not_complete_is_refused(make_table) -> None:
    document = make_table()
    with pytest.raises(UserError, match="no seed of the table has all architectures"):
        TabularEvaluator(ArchitectureTable(document.model_copy(update={"complete_seeds": []})))
    with pytest.raises(UserError, match="no multi-trial strategy 'evolve'"):
        simulation.check_strategies(["evolve"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_real_search_with_the_tables_values_draws_the_same(
    strategy: str, make_table, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract with ``by_trials``: only training and counting of costs are replaced by the table."""
    document = make_table()
    fields = document.space.model_dump(exclude={"n_items"}, exclude_unset=True)
    space = SpaceConfig(n_items=tiny_dataset.n_items, **fields)
    table = ArchitectureTable(document.model_copy(update={"space": space}))
    costs: dict[str, dict[int, float]] = {}
    for entry in table.entries:
        costs.setdefault(entry.choice.label, {})[entry.choice.depth] = table.cost(entry) / table.cost(table.largest)
    monkeypatch.setattr(by_trials, "cost_table", lambda *args, **kwargs: costs)
    drawn: list[Choice] = []

    def train(self, choice: Choice):
        drawn.append(choice)
        values = table.query(choice).runs[1]
        return {"weight": torch.zeros(1)}, 0.0, {"ndcg@10_unseen": values["valid_ndcg@10_unseen"]}

    monkeypatch.setattr(by_trials._Search, "_train", train)
    settings = TrialSettings(
        data="tiny",
        seed=1,
        select_by="ndcg@10_unseen",
        space=fields,
        search={"strategy": strategy, "epochs": 10, "candidate_epochs": 2, "lambda": 0.2},
    )
    found = search(tiny_dataset, settings, tmp_path / "search")
    done = simulate(TabularEvaluator(table, lambda_=0.2), strategy, 1, trials=len(drawn))
    assert 3 < len(drawn) and [entry.choice for entry in done.entries] == drawn
    assert done.rewards == pytest.approx([row["reward"] for row in found.history])
    assert done.incumbents(len(drawn))[-1].choice == found.architecture.choices
