"""Elastic search: front, choice, resumption, inheritance, refused settings."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from easrec_nni import Architecture, Dataset, TrialSettings, search
from easrec_nni.architecture.weights import load_network, read_weights, save_weights
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from easrec_nni.evaluation.ranking import metrics_of
from easrec_nni.evaluation.scoring import rank_users
from easrec_nni.searching.candidates import log_linear_reward
from easrec_nni.searching.costs import cost_table
from easrec_nni.searching.elastic import best_architecture, evaluate_again
from easrec_nni.searching.front import read_front
from easrec_nni.searching.stage import SearchResult
from easrec_nni.training.context import TrialContext
from easrec_nni.trial.stages import run_stages
from tests.latency_files import latency_file

SPACE: dict[str, Any] = {
    "max_length": 6,
    "hidden": 8,
    "inner": 16,
    "heads": 2,
    "layers": 2,
    "hidden_pruning": [0, 0.5],
    "inner_pruning": [0, 0.5],
    "supernet": "shared",
}
ELASTIC: dict[str, Any] = {"averaging": 0.9, "warmup_epochs": 1}


def settings_for(dataset: Dataset, elastic: dict[str, Any] | None = None, **changes: Any) -> TrialSettings:
    options = {"strategy": "elastic", "epochs": 3, "batch_size": 8, "elastic": {**ELASTIC, **(elastic or {})}}
    document: dict[str, Any] = {"data": str(dataset.path), "space": SPACE, "search": options}
    return TrialSettings.parse({**document, "retrain": {"epochs": 1}, **changes}, "test")


class Killed(Exception):
    """Raised at the end of an epoch before it is saved, to interrupt a run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elastic") / "run"


@pytest.fixture(scope="module")
def result(tiny_dataset: Dataset, folder: Path) -> SearchResult:
    return search(tiny_dataset, settings_for(tiny_dataset), folder)


def test_the_front_has_the_figures_of_every_frozen_network(
    tiny_dataset: Dataset, folder: Path, result: SearchResult
) -> None:
    front = read_front(folder)
    context = TrialContext.open(settings_for(tiny_dataset), tiny_dataset)
    assert [row.choice for row in front.architectures] == context.space.architectures() and front.of == 8
    assert front.users == len(context.selection_rows) and front.largest == context.space.largest
    for row in front.architectures:
        architecture = Architecture(choices=row.choice, space=context.space)
        network = load_network(architecture, result.supernet).eval()
        ranks = rank_users(network, tiny_dataset, "valid", protocols=["full"])["full"][context.selection_rows]
        assert row.metrics == pytest.approx(metrics_of({"full": ranks}))
        assert row.cost == context.cost(row.choice).as_dict() and "executed_madds_per_user_on_histories" in row.cost
    with (folder / "architectures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["ndcg@10_full"]) for row in rows] == [front.accuracy(row) for row in front.architectures]
    assert [float(row["parameters"]) for row in rows] == [row.cost["parameters"] for row in front.architectures]


def test_widths_of_blocks_are_searched_over_items_of_one_width(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, space={**SPACE, "item_width": 5})
    found = search(tiny_dataset, settings, tmp_path / "run")
    context = TrialContext.open(settings, tiny_dataset)
    for row in read_front(tmp_path / "run").architectures:
        network = load_network(Architecture(choices=row.choice, space=context.space), found.supernet).eval()
        assert network.embedding.items.weight.shape == (tiny_dataset.n_items + 1, 5)
        ranks = rank_users(network, tiny_dataset, "valid", protocols=["full"])["full"][context.selection_rows]
        assert row.metrics == pytest.approx(metrics_of({"full": ranks}))
    names = {choice: context.cost(choice).scoring_madds_per_user for choice in context.space.architectures()}
    narrow, wide = (names[choice] for choice in (context.space.smallest, context.space.largest))
    assert wide - narrow == 2 * 6 * 5 * (8 - 4)  # the projections' cost alone falls with the blocks' width


def test_a_sample_has_an_architecture_within_every_possible_budget(tiny_dataset: Dataset, tmp_path: Path) -> None:
    space = settings_for(tiny_dataset).space_for(tiny_dataset)
    device = latency_file(space)
    slow = (layer.model_copy(update={"last_layer_ms_per_user": 100.0 / layer.inner}) for layer in device.layers)
    device = device.model_copy(update={"layers": tuple(slow)})
    write_json(tmp_path / "device.json", device.as_json())
    of_largest = device.predict(space.largest, space)
    costs = {choice: device.predict(choice, space) / of_largest for choice in space.architectures()}
    cheapest = min(costs, key=lambda choice: costs[choice])
    assert cheapest not in (space.smallest, space.largest)
    options = {"strategy": "elastic", "epochs": 1, "batch_size": 8, "elastic": {"evaluated": 2}}
    options |= {"budget": costs[cheapest], "cost": "latency", "latency_file": str(tmp_path / "device.json")}
    result = search(tiny_dataset, settings_for(tiny_dataset, search=options), tmp_path / "run")
    assert result.architecture.choices == cheapest


def test_the_best_trade_off_is_exported(tiny_dataset: Dataset, folder: Path, result: SearchResult) -> None:
    front, space = read_front(folder), result.architecture.space
    context = TrialContext.open(settings_for(tiny_dataset), tiny_dataset)
    costs = cost_table(context, "executed")
    rewards = {
        row.choice: log_linear_reward(front.accuracy(row), costs[row.choice.label][row.depth], 0.1, space.n_items)
        for row in front.architectures
    }
    assert result.architecture.choices == max(rewards, key=lambda choice: rewards[choice])
    assert result.architecture.probabilities == {}
    figures = next(row for row in front.architectures if row.choice == result.architecture.choices).metrics
    assert result.architecture.metrics == {f"search_valid_{name}": value for name, value in figures.items()}


def test_within_a_budget_the_most_accurate_is_taken(tiny_dataset: Dataset, folder: Path, result: SearchResult) -> None:
    front = read_front(folder)
    options = {"strategy": "elastic", "budget": "40%"}
    context = TrialContext.open(settings_for(tiny_dataset, search=options), tiny_dataset)
    key = "executed_madds_per_user_on_histories"
    within = [row for row in front.architectures if row.cost[key] <= 0.4 * front.unpruned().cost[key]]
    best = best_architecture(front, context)
    assert 0 < len(within) < 8 and best in within
    assert front.accuracy(best) == max(front.accuracy(row) for row in within)


def test_history_has_the_largest_and_the_smallest_network(folder: Path, result: SearchResult) -> None:
    assert [row["warmup"] for row in result.history] == [1, 0, 0]
    assert [row["price"] for row in result.history] == [1, 2, 2]
    best = max(result.history, key=lambda row: row["balance"])
    assert best["balance"] == pytest.approx((best["ndcg@10_full"] * best["smallest_ndcg@10_full"]) ** 0.5)
    front = read_front(folder)
    assert front.accuracy(front.unpruned()) == pytest.approx(best["ndcg@10_full"]), "weights of the best epoch"
    smallest = min(front.architectures, key=lambda row: row.cost["parameters"])
    assert front.accuracy(smallest) == pytest.approx(best["smallest_ndcg@10_full"])


@pytest.mark.parametrize("kill_in", [0, 1, 2])
def test_a_killed_search_ends_as_an_unbroken_one(
    kill_in: int, tiny_dataset: Dataset, tmp_path: Path, folder: Path, result: SearchResult
) -> None:
    def kill(row: dict[str, float]) -> None:
        if row["epoch"] == kill_in:
            raise Killed

    with pytest.raises(Killed):
        search(tiny_dataset, settings_for(tiny_dataset), tmp_path, on_epoch=kill)
    resumed = search(tiny_dataset, settings_for(tiny_dataset), tmp_path)
    assert resumed.architecture == result.architecture
    weights, expected = read_weights(resumed.supernet), read_weights(result.supernet)
    assert weights.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=0)
    assert [{**row, "seconds": 0} for row in resumed.history] == [{**row, "seconds": 0} for row in result.history]
    assert read_front(tmp_path).architectures == read_front(folder).architectures


def test_a_trial_retrains_the_choice_from_inherited_weights(tiny_dataset: Dataset, tmp_path: Path) -> None:
    context = TrialContext.open(settings_for(tiny_dataset), tiny_dataset)
    reported: list[tuple[str, float]] = []
    results = run_stages(context, tmp_path, lambda stage, row: reported.append((stage, row["epoch"])))
    assert reported == [("search", 0), ("search", 1), ("search", 2), ("retrain", -1), ("retrain", 0)]
    assert results.search is not None and results.retrained.figures.training.weights == "inherited"
    start = load_network(results.architecture, results.search.supernet).eval()
    ranks = rank_users(start, tiny_dataset, "valid", protocols=["full"])
    first = (tmp_path / "retrained" / "history.csv").read_text().splitlines()
    before = dict(zip(first[0].split(","), first[1].split(","), strict=True))
    assert float(before["ndcg@10_full"]) == pytest.approx(metrics_of(ranks)["ndcg@10_full"])


def test_a_front_can_be_evaluated_again_and_cut_to_a_sample(
    tiny_dataset: Dataset, tmp_path: Path, folder: Path, result: SearchResult
) -> None:
    for name in ("architecture.json", "supernet.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    again = evaluate_again(tmp_path, str(tiny_dataset.path))
    assert again.architectures == read_front(folder).architectures == read_front(tmp_path).architectures
    sample = evaluate_again(tmp_path, str(tiny_dataset.path), evaluated=4)
    assert len(sample.architectures) == 4 and sample.of == 8
    choices = {row.choice for row in sample.architectures}
    assert {result.architecture.space.largest, result.architecture.space.smallest} <= choices
    assert all(row in again.architectures for row in sample.architectures)


def test_weights_of_one_network_are_not_evaluated_as_a_supernet(
    tiny_dataset: Dataset, tmp_path: Path, folder: Path, result: SearchResult
) -> None:
    network = load_network(result.architecture, result.supernet)
    save_weights(network.state_dict(), tmp_path / "supernet.safetensors")
    (tmp_path / "architecture.json").write_bytes((folder / "architecture.json").read_bytes())
    with pytest.raises(UserError, match="does not hold a supernet"):
        evaluate_again(tmp_path, str(tiny_dataset.path))
    assert not (tmp_path / "front.json").exists()


def test_a_restarted_search_deletes_the_front(tiny_dataset: Dataset, tmp_path: Path) -> None:
    search(tiny_dataset, settings_for(tiny_dataset), tmp_path)

    def kill(row: dict[str, float]) -> None:
        raise Killed

    with pytest.raises(Killed):
        search(tiny_dataset, settings_for(tiny_dataset, {"share": 1.0}), tmp_path, restart=True, on_epoch=kill)
    assert not (tmp_path / "front.json").exists() and not (tmp_path / "architectures.csv").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"space": {**SPACE, "supernet": "independent"}}, "set space.supernet: shared"),
        ({"loss": "gbce"}, "set loss: softmax, or search.elastic.distillation: 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    changes: dict[str, Any], message: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        search(tiny_dataset, settings_for(tiny_dataset, **changes), tmp_path / "run")


@pytest.mark.parametrize(
    "elastic, message",
    [
        ({"sandwich": False}, "set distillation: 0 too"),
        ({"sandwich": False, "distillation": 0, "random_paths": 0}, "set random_paths: 1 or more"),
        ({"warmup_epochs": 3}, "leaves none of 3 epochs for the smaller networks"),
        ({"share": 0}, "greater than 0"),
        ({"sandwhich": True}, "sandwhich"),
    ],
)
def test_contradicting_settings_are_refused(elastic: dict[str, Any], message: str, tiny_dataset: Dataset) -> None:
    with pytest.raises(UserError, match=message):
        settings_for(tiny_dataset, elastic)


def test_settings_enter_the_identity_of_a_run(tiny_dataset: Dataset, folder: Path, result: SearchResult) -> None:
    request = json.loads((folder / "state" / "request.json").read_text())["request"]
    assert request["search"]["elastic"] == ELASTIC
    with pytest.raises(UserError, match="holds a run with other settings"):
        search(tiny_dataset, settings_for(tiny_dataset, {"share": 1.0}), folder)
