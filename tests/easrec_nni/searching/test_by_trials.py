"""Multi-trial searches: budget, resumption, duplicates, inheritance."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.strategy import Random

from easrec_nni import Choice, Dataset, TrialSettings, retrain, search
from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.weights import load_network, read_weights
from easrec_nni.common.errors import UserError
from easrec_nni.searching import by_trials as multi_trial
from easrec_nni.searching.candidates import epoch_cost, log_linear_reward
from easrec_nni.searching.stage import SearchResult
from easrec_nni.training.context import TrialContext
from easrec_nni.training.history import read_history
from search_spaces import EASRecSpace
from strategies import MULTI_TRIAL_STRATEGIES

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]}
SPACE |= {"supernet": "shared", "gate_layers": 0}
SEARCH = {"strategy": "random", "epochs": 3, "candidate_epochs": 2, "batch_size": 16, "lambda": 0.2}
SEARCH |= {"cost": "nominal"}


def settings_for(dataset: Dataset, space: dict[str, Any] | None = None, **search_changes: Any) -> TrialSettings:
    document = {"data": str(dataset.path), "space": {**SPACE, **(space or {})}, "search": {**SEARCH, **search_changes}}
    return TrialSettings.parse({**document, "retrain": {"epochs": 1, "batch_size": 16}}, "test")


def choice_of(row: dict[str, float]) -> Choice:
    return Choice(hidden_pruning=row["hidden_pruning"], inner_pruning=row["inner_pruning"], depth=int(row["depth"]))


def assert_same_results(result: SearchResult, expected: SearchResult) -> None:
    """Assert that two results are equal except for the seconds."""
    assert result.architecture == expected.architecture
    for one, other in zip(result.history, expected.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    weights = read_weights(expected.supernet)
    for name, weight in read_weights(result.supernet).items():
        torch.testing.assert_close(weight, weights[name], rtol=0, atol=0)


@pytest.fixture(scope="module")
def settings(tiny_dataset: Dataset) -> TrialSettings:
    return settings_for(tiny_dataset)


@pytest.fixture(scope="module")
def unbroken(tiny_dataset: Dataset, settings: TrialSettings, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return search(tiny_dataset, settings, tmp_path_factory.mktemp("unbroken") / "run")


def test_the_budget_is_spent_and_not_more(
    tiny_dataset: Dataset, settings: TrialSettings, unbroken: SearchResult
) -> None:
    config, budget = settings.space_for(tiny_dataset), 3 * 2.8
    spent = sum(2 * epoch_cost(config, choice_of(row), 6) for row in unbroken.history)
    assert sum(row["price"] for row in unbroken.history) == pytest.approx(spent)
    assert spent <= budget
    drawn: list[Choice] = []

    def note(sample: dict[str, Any]) -> float:
        drawn.append(config.choice(sample))
        if len(drawn) > len(unbroken.history):
            raise multi_trial.BudgetSpent
        return 0.0

    multi_trial.run_multi_trial(MULTI_TRIAL_STRATEGIES["random"](settings.seed), EASRecSpace(config), note)
    assert drawn[:-1] == [choice_of(row) for row in unbroken.history]
    assert spent + 2 * epoch_cost(config, drawn[-1], 6) > budget  # the first that could not be paid


def test_the_best_candidate_is_the_result(
    tiny_dataset: Dataset, settings: TrialSettings, unbroken: SearchResult
) -> None:
    config = settings.space_for(tiny_dataset)
    largest = architecture_cost(config, config.largest).madds_per_user
    for number, row in enumerate(unbroken.history):
        cost = architecture_cost(config, choice_of(row)).madds_per_user / largest
        assert row["epoch"] == number
        assert row["argmax_cost"] == row["expected_cost"] == pytest.approx(cost)
        assert row["reward"] == pytest.approx(log_linear_reward(row["ndcg@10_full"], cost, 0.2, tiny_dataset.n_items))
    best = max(unbroken.history, key=lambda row: row["reward"])
    result = unbroken.architecture
    assert result.choices == choice_of(best)
    assert result.metrics["search_valid_ndcg@10_full"] == best["ndcg@10_full"]
    assert (result.seed, result.lambda_, result.probabilities) == (0, 0.2, {})
    assert result.cost["madds_per_user"] == pytest.approx(best["argmax_cost"] * largest)


def test_a_candidate_is_judged_by_the_users_that_select(
    tiny_dataset: Dataset, settings: TrialSettings, unbroken: SearchResult
) -> None:
    """The saved weights rank these users as the record says."""
    from easrec_nni.evaluation.scoring import metrics_of, rank_users
    from easrec_nni.evaluation.selection import validation_rows

    network = load_network(unbroken.architecture, unbroken.supernet)
    _, rows = validation_rows(tiny_dataset, settings.search.arch_share)
    ranks = {name: values[rows] for name, values in rank_users(network, tiny_dataset, "valid").items()}
    assert metrics_of(ranks)["ndcg@10_full"] == unbroken.architecture.metrics["search_valid_ndcg@10_full"]


@pytest.mark.parametrize("strategy", MULTI_TRIAL_STRATEGIES)
def test_a_killed_search_ends_as_an_unbroken_one(
    strategy: str, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six random candidates, then candidates that depend on the rewards (evolution, TPE)."""
    settings = settings_for(
        tiny_dataset, {"inner_pruning": [0, 0.25, 0.5]}, strategy=strategy, epochs=2, candidate_epochs=1
    )
    expected = search(tiny_dataset, settings, tmp_path / "unbroken")
    assert len(expected.history) > 7

    def kill(row: dict[str, float]) -> None:
        if row["epoch"] in (1, 6):
            raise KeyboardInterrupt

    reported: list[float] = []
    for trained in (2, 7):
        with pytest.raises(KeyboardInterrupt):
            search(tiny_dataset, settings, tmp_path / "broken", on_epoch=kill)
        assert len(read_history(tmp_path / "broken" / "state" / "history.csv")) == trained
        assert not (tmp_path / "broken" / "architecture.json").exists()
    result = search(tiny_dataset, settings, tmp_path / "broken", on_epoch=lambda row: reported.append(row["epoch"]))
    assert_same_results(result, expected)
    assert reported == list(range(7, len(expected.history)))  # recorded candidates are not trained again


def test_a_kill_between_weights_and_row_is_repaired(
    tiny_dataset: Dataset,
    settings: TrialSettings,
    unbroken: SearchResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from easrec_nni.searching import candidates

    best = int(max(unbroken.history, key=lambda row: row["reward"])["epoch"])

    def die(rows: list[dict[str, float]], path: Path) -> None:
        if len(rows) == best + 1:
            raise KeyboardInterrupt
        write(rows, path)

    write = candidates.write_history
    with monkeypatch.context() as patched:
        patched.setattr(candidates, "write_history", die)
        with pytest.raises(KeyboardInterrupt):
            search(tiny_dataset, settings, tmp_path / "run")
    assert_same_results(search(tiny_dataset, settings, tmp_path / "run"), unbroken)


def test_a_candidate_does_not_depend_on_those_before_it(
    tiny_dataset: Dataset, unbroken: SearchResult, tmp_path: Path
) -> None:
    """Another strategy draws them in another order; the training's seed is the same."""
    order = settings_for(tiny_dataset, strategy="tpe")
    other = search(tiny_dataset, order, tmp_path / "run")
    figures = {choice_of(row): row["ndcg@10_full"] for row in unbroken.history}
    both = [row for row in other.history if choice_of(row) in figures]
    assert both and [choice_of(row) for row in other.history] != list(figures)
    assert all(row["ndcg@10_full"] == figures[choice_of(row)] for row in both)


def test_an_architecture_is_trained_once_however_often_it_is_drawn(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drawn: list[str] = []

    class Repeating(Random):
        def random(self, model_space: Any) -> Any:
            model = super().random(model_space)
            drawn.append(str(model.sample))
            return model

    strategies = {"random": lambda seed: Repeating(seed=seed, dedup=False)}
    monkeypatch.setattr(multi_trial, "MULTI_TRIAL_STRATEGIES", strategies)
    settings = settings_for(tiny_dataset, {"inner_pruning": [0]}, epochs=9, candidate_epochs=1)
    with caplog.at_level(logging.WARNING):
        result = search(tiny_dataset, settings, tmp_path / "run")
    assert len(result.history) == len({choice_of(row) for row in result.history}) == 4  # the whole space, then the end
    assert len(drawn) > 5
    assert "search.candidate_epochs: 9" in caplog.text  # the budget would have allowed as many as the search has


@pytest.mark.parametrize(
    ("mode", "direction", "objective", "scored"),
    [("causal", "causal", "next", 6), ("augmented", "causal", "next", 1), ("masked", "bidirectional", "masked", 1.25)],
)
def test_the_price_counts_the_positions_that_have_a_loss(
    mode: str, direction: str, objective: str, scored: float, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """Masked: the newest position in three quarters of the sequences, a third of six positions in the others."""
    settings = settings_for(tiny_dataset, {"direction": direction, "objective": objective}, epochs=1)
    masking = {"masking.share": 1 / 3, "masking.newest_share": 0.75} if mode == "masked" else {}
    settings = settings.with_parameters({"mode": mode, **masking})

    def stop(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tiny_dataset, settings, tmp_path, on_epoch=stop)
    (first,) = read_history(tmp_path / "state" / "history.csv")
    assert first["price"] == pytest.approx(epoch_cost(settings.space_for(tiny_dataset), choice_of(first), scored))


@pytest.mark.parametrize("strategy", MULTI_TRIAL_STRATEGIES)
def test_architectures_over_a_cost_budget_are_drawn_and_not_trained(
    strategy: str, tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(tiny_dataset, strategy=strategy, budget=0.35, **{"lambda": None})
    config = settings.space_for(tiny_dataset)
    largest = architecture_cost(config, config.largest).madds_per_user
    with caplog.at_level(logging.INFO, logger="easrec_nni.searching.by_trials"):
        result = search(tiny_dataset, settings, tmp_path)
    shares = [architecture_cost(config, choice_of(row)).madds_per_user / largest for row in result.history]
    assert shares and max(shares) <= 0.35
    best = max(result.history, key=lambda row: row["ndcg@10_full"])  # the reward has no lambda
    assert result.architecture.choices == choice_of(best) and result.architecture.budget == 0.35
    refused = [message for message in caplog.messages if "cost more than search.budget and were not trained" in message]
    assert len(refused) == 1 and int(refused[0].split()[0]) > 0


def test_an_architecture_over_the_budget_is_worse_than_any_within_and_the_cheaper_one_is_better(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    from easrec_nni.searching.candidates import CandidateRecord

    settings = settings_for(tiny_dataset, budget=0.35, **{"lambda": None})
    context = TrialContext.open(settings, tiny_dataset)
    searching = multi_trial._Search(context, CandidateRecord(tmp_path), False, None)
    costs = {choice: searching.costs[choice.label][choice.depth] for choice in context.space.architectures()}
    over = [choice for choice, cost in costs.items() if cost > 0.35]
    assert set(searching.over_budget) == set(over) and 1 < len(over) < len(costs)
    for choice in over:
        sample = {"pruning": choice.label, "depth": choice.depth}
        assert searching.reward(sample) == pytest.approx(0.35 - costs[choice]) and searching.reward(sample) < 0
    assert not searching.record.rows and len(searching.refused) == len(over)


def test_the_price_of_a_sampled_loss_is_that_of_what_it_scores(tiny_dataset: Dataset) -> None:
    """Nine negatives and the target, of thirty items: a third of the catalogue at each of six positions."""
    settings = settings_for(tiny_dataset)
    prices = []
    for changes in ({}, {"loss": "gbce", "negatives": 9}, {"loss": "sampled_softmax", "negatives": 999}):
        prices.append(multi_trial._scored_positions(TrialContext.open(settings.with_parameters(changes), tiny_dataset)))
    assert tiny_dataset.n_items == 30 and prices == pytest.approx([6, 2, 6])


def test_candidates_are_trained_no_longer_than_a_search(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, epochs=1, candidate_epochs=50)
    config = settings.space_for(tiny_dataset)
    history = search(tiny_dataset, settings, tmp_path).history
    assert history[0]["price"] == pytest.approx(epoch_cost(config, choice_of(history[0]), 6))


def test_nothing_is_left_where_the_process_was_started(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    search(tiny_dataset, settings_for(tiny_dataset, epochs=1, candidate_epochs=1), tmp_path / "run")
    assert list((tmp_path / "here").iterdir()) == []


def test_the_result_is_inherited_by_a_retraining(
    tiny_dataset: Dataset, settings: TrialSettings, unbroken: SearchResult, tmp_path: Path
) -> None:
    expected = read_weights(unbroken.supernet)
    for name, weight in load_network(unbroken.architecture, unbroken.supernet).state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0)
    slow = settings.with_parameters({"retrain.learning_rate": 1e-12})
    done = retrain(unbroken.architecture, tiny_dataset, tmp_path, weights=unbroken.supernet, settings=slow)
    assert done.metrics["training"]["weights"] == "inherited"
    torch.testing.assert_close(done.network.embedding.items.weight, expected["embedding.items.weight"])


def test_a_complete_search_is_taken_as_it_is(
    tiny_dataset: Dataset, settings: TrialSettings, unbroken: SearchResult
) -> None:
    folder = unbroken.supernet.parent
    assert_same_results(
        search(tiny_dataset, settings, folder, on_epoch=lambda row: pytest.fail("trained again")), unbroken
    )
    with pytest.raises(UserError, match="other settings"):
        search(tiny_dataset, settings.with_parameters({"search.candidate_epochs": 1}), folder)


def test_the_log_has_a_line_for_each_candidate(
    tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="easrec_nni.searching.by_trials"):
        history = search(tiny_dataset, settings_for(tiny_dataset, epochs=1), tmp_path).history
    lines = [record.getMessage() for record in caplog.records if record.name == "easrec_nni.searching.by_trials"]
    assert [line.split(":")[0] for line in lines[:-1]] == [f"candidate {i}" for i in range(len(history))]
    assert f"reward {history[0]['reward']:.4f}" in lines[0]


def test_an_unknown_strategy_is_named_with_all_that_are_known(tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'randon' is unknown; choose from easrec.*evolution"):
        search(tiny_dataset, settings_for(tiny_dataset, strategy="randon"), tmp_path)
