"""Cost tables of a trial, and searches that must meet a budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from easrec_nni import Architecture, Choice, Dataset, TrialSettings, load_dataset, search
from easrec_nni.architecture.cost import executed_madds
from easrec_nni.architecture.weights import read_weights
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.data.home import dataset_folder
from easrec_nni.searching.costs import check_budget, check_within_budget, cost_table
from easrec_nni.training.context import TrialContext
from easrec_nni.training.run_folder import identity_digest
from easrec_nni.trial.objective import Objective
from strategies import STRATEGIES
from tests.latency_files import embedding_ms, last_ms, latency_file, layer_ms

SPACE = {"max_length": 5, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "supernet": "shared", "gate_layers": 0}
SPACE |= {"hidden_pruning": [0, 0.5], "inner_pruning": [0, 0.5]}
SEARCH = {"epochs": 3, "warmup_epochs": 1, "batch_size": 16, "arch_batch_size": 8, "arch_movement": 4}


class Killed(Exception):
    """End of a process in the middle of a search."""


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    document = {"data": str(dataset.path), "space": SPACE, "search": {**SEARCH, **changes}}
    return TrialSettings.parse(document, "test")


def context_of(dataset: Dataset, **changes: Any) -> TrialContext:
    return TrialContext.open(settings_for(dataset, **changes), dataset)


def share(context: TrialContext, choice: Choice, kind: Any = "executed") -> float:
    return cost_table(context, kind)[choice.label][choice.depth]


def test_the_executed_table_is_the_mean_over_the_users_that_are_tested(tiny_dataset: Dataset) -> None:
    context = context_of(tiny_dataset)
    lengths = [
        int(length) for batch in EvaluationBatches(tiny_dataset, "test", 5, 40) for length in (batch.ids != 0).sum(1)
    ]
    config = context.space

    def mean(choice: Choice) -> float:
        return sum(executed_madds(config, choice, length) for length in lengths) / len(lengths)

    for choice in config.architectures():
        expected = mean(choice) / mean(config.largest)
        assert share(context, choice) == pytest.approx(expected, rel=1e-12)
        assert context.cost(choice).executed_madds_per_user_on_histories == pytest.approx(mean(choice), rel=1e-12)
    tables = [cost_table(context, kind) for kind in ("nominal", "executed", "parameters")]
    assert tables[0] != tables[1] != tables[2]


def test_without_test_targets_the_executed_cost_is_refused(tiny_dataset: Dataset) -> None:
    with pytest.raises(UserError, match="has none: set search.cost: nominal"):
        cost_table(context_of(tiny_dataset).trained_through("test"), "executed")


@pytest.mark.parametrize("strategy", ["easrec", "random"])
def test_an_impossible_budget_is_refused_before_the_search_with_the_smallest_possible_one(
    strategy: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="hidden50_inner50, depth 1") as error:
        search(tiny_dataset, settings_for(tiny_dataset, budget=0.01, strategy=strategy), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    named = float(error.value.message.partition("smallest possible budget is ")[2].split()[0])
    check_budget(context_of(tiny_dataset, budget=named))
    with pytest.raises(UserError):
        check_budget(context_of(tiny_dataset, budget=named - 2e-4))


@pytest.mark.parametrize("kind", ["nominal", "executed", "parameters"])
def test_a_search_meets_its_budget_in_every_kind_of_cost(kind: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    context = context_of(tiny_dataset, budget="40%", cost=kind)
    found = search(tiny_dataset, context.settings, tmp_path / "run")
    assert share(context, found.architecture.choices, kind) <= 0.4
    assert (found.architecture.budget, found.architecture.cost_kind, found.architecture.lambda_) == (0.4, kind, None)
    assert "executed_madds_per_user_on_histories" in found.architecture.cost
    for row in found.history:
        choice = Choice(**{name: row[name] for name in ("hidden_pruning", "inner_pruning")}, depth=int(row["depth"]))
        assert row["argmax_cost"] == pytest.approx(share(context, choice, kind)) and row["argmax_cost"] <= 0.4
        assert row["multiplier"] >= 0


def test_an_interrupted_search_goes_on_with_its_multiplier(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, budget=0.3, arch_movement=0.5)
    expected = search(tiny_dataset, settings, tmp_path / "unbroken")

    def kill(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            raise Killed

    with pytest.raises(Killed):
        search(tiny_dataset, settings, tmp_path / "broken", on_epoch=kill)
    result = search(tiny_dataset, settings, tmp_path / "broken")
    assert result.architecture == expected.architecture
    for one, other in zip(result.history, expected.history, strict=True):
        assert json.dumps({**one, "seconds": 0}) == json.dumps({**other, "seconds": 0})  # NaN is NaN
    assert expected.history[-1]["multiplier"] != expected.history[1]["multiplier"] > 0
    weights = read_weights(expected.supernet)
    for name, weight in read_weights(result.supernet).items():
        torch.testing.assert_close(weight, weights[name], rtol=0, atol=0)


def test_an_architecture_that_was_edited_is_refused_before_it_is_retrained(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    settings = settings_for(tiny_dataset, budget=0.4)
    found = search(tiny_dataset, settings, tmp_path)
    found.architecture.model_copy(update={"choices": found.architecture.space.largest}).write(
        tmp_path / "architecture.json"
    )
    with pytest.raises(UserError, match="costs 1.0000 of the largest one's .* more than the budget of 0.4"):
        search(tiny_dataset, settings, tmp_path)
    check_within_budget(context_of(tiny_dataset), found.architecture.space.largest)  # without a budget all is well


def test_an_unfinished_search_of_an_earlier_version_is_not_continued_with_another_cost(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    def kill(row: dict[str, float]) -> None:
        raise Killed

    with pytest.raises(Killed):
        search(tiny_dataset, settings_for(tiny_dataset, cost="nominal"), tmp_path, on_epoch=kill)
    note = tmp_path / "state" / "request.json"
    document = json.loads(note.read_text())
    assert document["request"].pop("cost") == "nominal"  # which earlier versions did not record
    note.write_text(json.dumps({"sha256": identity_digest(document["request"]), "request": document["request"]}))
    with pytest.raises(UserError, match="earlier version, which weighed nominal cost: set search.cost: nominal"):
        search(tiny_dataset, settings_for(tiny_dataset), tmp_path)
    assert search(tiny_dataset, settings_for(tiny_dataset, cost="nominal"), tmp_path).architecture.lambda_ == 0.1


def latency_settings(dataset: Dataset, file: Path, **changes: Any) -> TrialSettings:
    document = latency_file(context_of(dataset).space)
    write_json(file, document.as_json())
    return settings_for(dataset, cost="latency", latency_file=str(file), **changes)


def test_the_latency_table_is_what_the_file_predicts(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = latency_settings(tiny_dataset, tmp_path / "latency.json")
    context = TrialContext.open(settings, tiny_dataset)
    # Widths 8 and 4, inner widths 16 and 8, no gates.
    largest = embedding_ms(8) + layer_ms(8, 16, False) + last_ms(8, 16, False)
    table = cost_table(context, "latency")
    assert table["hidden0_inner0"][2] == 1.0
    assert table["hidden50_inner0"][1] == pytest.approx((embedding_ms(4) + last_ms(4, 16, False)) / largest)
    small = Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2)
    expected = embedding_ms(4) + layer_ms(4, 8, False) + last_ms(4, 8, False)
    assert table[small.label][2] == pytest.approx(expected / largest)
    architecture = context.architecture(small)
    assert architecture.cost["latency_ms_per_user"] == pytest.approx(expected)
    assert architecture.unpruned_cost is not None
    assert architecture.unpruned_cost["latency_ms_per_user"] == pytest.approx(largest)
    assert "latency_ms_per_user" not in context_of(tiny_dataset).architecture(small).cost


def test_a_budget_of_latency_is_met(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = latency_settings(tiny_dataset, tmp_path / "latency.json", budget=0.6)
    found = search(tiny_dataset, settings, tmp_path / "run").architecture
    assert found.unpruned_cost is not None and found.cost_kind == "latency"
    assert found.cost["latency_ms_per_user"] <= 0.6 * found.unpruned_cost["latency_ms_per_user"]
    with pytest.raises(UserError, match="of the largest one's predicted milliseconds per user: the smallest possible"):
        search(tiny_dataset, latency_settings(tiny_dataset, tmp_path / "latency.json", budget=0.01), tmp_path / "low")


def test_a_search_by_latency_is_of_the_files_content(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = latency_settings(tiny_dataset, tmp_path / "latency.json")
    moved = latency_settings(tiny_dataset, tmp_path / "moved.json")
    identities = [TrialContext.open(each, tiny_dataset).identity("search") for each in (settings, moved)]
    assert identities[0] == identities[1]
    text = (tmp_path / "moved.json").read_text()
    (tmp_path / "moved.json").write_text(text.replace(f'"ms_per_user": {embedding_ms(4)}', '"ms_per_user": 0.3'))
    assert TrialContext.open(moved, tiny_dataset).identity("search") != identities[0]
    # A file that the search does not use changes nothing.
    unused = settings_for(tiny_dataset, latency_file=str(tmp_path / "moved.json"))
    assert TrialContext.open(unused, tiny_dataset).identity("search") == context_of(tiny_dataset).identity("search")


def test_a_latency_file_of_another_space_is_refused_before_the_search(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = latency_settings(tiny_dataset, tmp_path / "latency.json")
    longer = settings.with_parameters({"space.max_length": 6})
    with pytest.raises(UserError, match="latency.json: .* of another space: it was measured with max_length=5"):
        search(tiny_dataset, longer, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "document",
    [
        {"search": {"cost": "latency"}},
        {"objective": {"kind": "ceiling", "ceiling": 0.1, "cost": "latency_ms_per_user"}},
    ],
)
def test_latency_needs_a_file(document: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="latency.* needs .*latency_file: `easrec profile DATASET --settings FILE`"):
        TrialSettings.parse({"data": "x", **document}, "test")


def test_an_objective_of_latency_is_what_the_file_predicts(tiny_dataset: Dataset, tmp_path: Path) -> None:
    objective = {"kind": "weighted", "weight": 0.2, "cost": "latency_ms_per_user"}
    settings = latency_settings(tiny_dataset, tmp_path / "latency.json").with_parameters({"objective": objective})
    context = TrialContext.open(settings, tiny_dataset)
    small = Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1)
    share_of_time = share(context, small, "latency")
    value = Objective.of(context).epoch_value(0.5, small.model_dump())
    assert value == pytest.approx(0.5 - 0.2 * share_of_time) and 0 < share_of_time < 1


BUDGETS = ("18%", 0.25, 0.35, 0.6, 1.0)


@pytest.mark.slow
@pytest.mark.skipif(not dataset_folder("ml-100k").is_dir(), reason="needs a prepared MovieLens-100K")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_five_budgets_on_movielens_are_met(strategy: str, tmp_path: Path) -> None:
    dataset = load_dataset("ml-100k")
    for budget in BUDGETS:
        space = {**SPACE, "max_length": 20, "hidden": 16, "inner": 32}
        options = {**SEARCH, "strategy": strategy, "batch_size": 128, "arch_batch_size": 128, "budget": budget}
        settings = TrialSettings.parse(
            {"data": "ml-100k", "history": "newest", "space": space, "search": options}, "test"
        )
        search(dataset, settings, tmp_path / str(budget))
        found = Architecture.read(tmp_path / str(budget) / "architecture.json")
        assert found.unpruned_cost is not None and settings.search.budget is not None
        figure = "executed_madds_per_user_on_histories"
        assert found.cost[figure] / found.unpruned_cost[figure] <= settings.search.budget
