"""Example experiments: read as by `easrec launch`, and run in a small version with a real manager."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from nni.algorithms.hpo.tpe_tuner import TpeTuner
from rich.console import Console

from easrec_nni import Architecture, Dataset, TrialSettings
from easrec_nni.data import prepare
from easrec_nni.experiments.data_checks import check_settings_and_data
from easrec_nni.experiments.experiment import Trial
from easrec_nni.experiments.export import choose_trial, describe_score
from easrec_nni.experiments.file import read_experiment
from easrec_nni.experiments.manager import free_port, running_experiment
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.experiments.tuner_checks import check_tuner
from easrec_nni.experiments.watching import watch
from easrec_nni.settings.examples import copy_examples
from easrec_nni.trial.run import main, run_trial

NAMES = ("ml100k-tpe", "ml100k-ceiling")
SPACE: dict[str, Any] = {
    "max_length": 8,
    "hidden": 16,
    "inner": 32,
    "heads": 2,
    "layers": 2,
    "hidden_pruning": [0, 0.5],
}
SMALL = {"search.epochs": 4, "search.batch_size": 8, "retrain.epochs": 2, "retrain.batch_size": 8}


@pytest.fixture
def examples(nni_home: Path, tmp_path: Path) -> Path:
    """Examples copied by `easrec init`."""
    copy_examples(tmp_path / "examples")
    return tmp_path / "examples"


@pytest.fixture(scope="module")
def regular_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Dataset where each item follows the previous one, so that a trained network is far above chance."""
    folder = tmp_path_factory.mktemp("regular")
    rows = [f"{user},{(7 * user + step) % 30},{step}" for user in range(60) for step in range(15)]
    (folder / "regular.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    return prepare(folder / "regular.csv", folder / "prepared")


def small(document: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Small version of an experiment: another dataset, small networks."""
    sets = {
        "data": str(dataset.path),
        "space": yaml.safe_dump(SPACE, default_flow_style=True, width=999).strip(),
        **SMALL,
    }
    words = [word for name, value in sets.items() for word in ("--set", f"{name}={value}")]
    return {**document, "trialCommand": f"{document['trialCommand']} {shlex.join(words)}"}


@pytest.mark.parametrize("name", NAMES)
def test_every_value_that_can_be_sampled_is_a_setting(
    name: str, examples: Path, ml100k: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASREC_HOME", str(ml100k.path.parents[1]))
    experiment = read_experiment(examples / f"{name}.yml")
    assert check_settings_and_data(experiment).startswith("ml-100k: 943 users")
    assert experiment.document["tuner"]["classArgs"]["optimize_mode"] == "maximize"
    assert "lambda" in experiment.search_space and len(experiment.search_space) >= 2
    assert check_tuner(experiment).endswith("drew 2 trial(s) from this search space")


def test_what_the_ceilings_example_sets_is_an_objective(examples: Path) -> None:
    experiment = read_experiment(examples / "ml100k-ceiling.yml")
    assert experiment.settings_changes == ["objective.kind=ceiling", "objective.ceiling=3000000"]
    changed = yaml.safe_load((examples / "ml100k-ceiling.yml").read_text())
    changed["trialCommand"] = changed["trialCommand"].replace("=ceiling", "=celing")
    (examples / "wrong.yml").write_text(yaml.safe_dump(changed))
    with pytest.raises(Exception, match=r"objective\.kind"):
        check_settings_and_data(read_experiment(examples / "wrong.yml"))


def seed_that_draws(space: dict[str, Any], name: str, values: list[float]) -> int:
    """Seed with which TPE's first, random draws give a parameter these values."""
    for seed in range(1000):
        tuner = TpeTuner("maximize", seed)
        tuner.update_search_space(space)
        if [tuner.generate_parameters(number)[name] for number in range(len(values))] == values:
            return seed
    raise AssertionError("no seed draws these values")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_tpe_draws_and_medianstop_ends_the_weak_trial(examples: Path, regular_dataset: Dataset) -> None:
    """The first trial learns; the second one's learning rate is nearly 0.

    A single trial before it: two that learn differ by the other values that they draw, and the assessor may end either.
    """
    good, weak = 0.03, 1e-9
    document = small(yaml.safe_load((examples / "ml100k-tpe.yml").read_text()), regular_dataset)
    document["searchSpace"]["search.learning_rate"] = {"_type": "choice", "_value": [good, weak]}
    document["searchSpace"]["search.arch_every"] = {"_type": "choice", "_value": [5]}
    document["searchSpace"] = dict(sorted(document["searchSpace"].items()))  # TPE draws in this order, YAML writes it
    document["tuner"]["classArgs"]["seed"] = seed_that_draws(
        document["searchSpace"], "search.learning_rate", [good, weak]
    )
    document["assessor"]["classArgs"]["start_step"] = 1
    document |= {"trialConcurrency": 1, "maxTrialNumber": 2}
    (examples / "small.yml").write_text(yaml.safe_dump(document))
    with running_experiment(examples / "small.yml", free_port(19_600)) as experiment:
        watch(experiment, Console(file=io.StringIO()), expected=2)
    trials = list_trials(find_experiment(experiment.id))
    learning, weak_one = trials
    assert learning.status == "SUCCEEDED", learning.last_error()
    # NNI 3.0 notes that it was its assessor only after the trial has ended.
    assert weak_one.status in ("EARLY_STOPPED", "USER_CANCELED"), weak_one.last_error()
    for trial in trials:
        assert trial.parameters.keys() == document["searchSpace"].keys()
        assert 0.05 <= trial.parameters["lambda"] <= 1 and 0 <= trial.parameters["space.dropout"] <= 0.4
    assert len(learning.intermediate) == 4 + 1 + 2  # one before the retraining
    assert learning.final is not None and learning.final["lambda"] == learning.parameters["lambda"]
    assert weak_one.final is None
    assert {report["phase"] for report in weak_one.intermediate} == {"search"}  # it never came to its retraining


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_elastic_strategy_meets_sampled_budgets_under_nni(examples: Path, regular_dataset: Dataset) -> None:
    document = small(yaml.safe_load((examples / "ml100k.yml").read_text()), regular_dataset)
    document["trialCommand"] += " --set search.strategy=elastic --set space.supernet=shared --set search.cost=executed"
    document["searchSpace"] = {"search.budget": {"_type": "choice", "_value": ["60%", "100%"]}}
    document |= {"maxTrialNumber": 2}
    (examples / "small.yml").write_text(yaml.safe_dump(document))
    with running_experiment(examples / "small.yml", free_port(19_700)) as experiment:
        watch(experiment, Console(file=io.StringIO()), expected=2)
    trials = list_trials(find_experiment(experiment.id))
    for trial in trials:
        assert trial.status == "SUCCEEDED" and trial.final is not None, trial.last_error()
        assert [report["phase"] for report in trial.intermediate].count("search") == SMALL["search.epochs"]
        architecture = Architecture.read(trial.folder / "architecture.json")
        share = float(trial.parameters["search.budget"].rstrip("%")) / 100
        unpruned = architecture.unpruned_cost
        assert architecture.budget == share and architecture.probabilities == {} and unpruned is not None
        cost = "executed_madds_per_user_on_histories"
        assert architecture.cost[cost] <= share * unpruned[cost]
        assert trial.final["madds_per_user"] == architecture.cost["madds_per_user"]
        assert (trial.folder / "front.json").is_file()
    assert {trial.parameters["search.budget"] for trial in trials} == {"60%", "100%"}


@pytest.mark.parametrize(("ceiling", "feasible"), [(1.0, 0), (1e9, 1)])
def test_a_trial_above_the_ceiling_says_so_and_is_not_the_best(
    ceiling: float, feasible: int, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    document = {"data": str(tiny_dataset.path), "space": {**SPACE, "hidden": 8, "inner": 16}, "search": {"epochs": 1}}
    settings = TrialSettings.parse({**document, "retrain": {"epochs": 1}}, "test").with_parameters(
        {"objective.kind": "ceiling", "objective.ceiling": ceiling}
    )
    report = run_trial(settings, tmp_path / "run").report
    assert (report["feasible"], report["ceiling"], report["objective"]) == (feasible, ceiling, "ceiling")
    ndcg = report["valid_selection_ndcg@10_full"]
    assert report["default"] == (ndcg if feasible else 1 - report["madds_per_user"] / ceiling)
    assert report["test_ndcg@10_full"] >= 0 and report["architecture"]
    other = {"default": -0.5, "feasible": 0, "madds_per_user": 1.0, "default_standard_error": 9.0}
    trials = [Trial("a", 0, "SUCCEEDED", {}, tmp_path, (), report), Trial("b", 1, "SUCCEEDED", {}, tmp_path, (), other)]
    score_text = describe_score(trials[0])
    assert f"validation NDCG@10 {ndcg:.4f}" in score_text and ("above the cost ceiling" in score_text) == (not feasible)
    assert choose_trial(trials).id == choose_trial(trials, smallest=True).id == ("a" if feasible else "b")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--settings"],
        ["--settings", "a.yml", "--set"],
        ["--settings", "a.yml", "--put", "a=1"],
        ["a.yml", "--settings"],
    ],
)
def test_a_trials_command_that_is_not_understood(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "write python3 -m easrec_nni.trial --settings FILE [--set KEY=VALUE]..." in capsys.readouterr().err
