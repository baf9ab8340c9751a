"""Refusal of tuners and assessors that minimise, die or send unknown keys; compared with NNI's code."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nni
import pytest
import yaml
from nni.tools.package_utils import config_manager

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.experiments import tuner_checks
from easrec_nni.experiments.data_checks import check_settings_and_data
from easrec_nni.experiments.file import ExperimentFile, read_experiment
from easrec_nni.experiments.tuner_checks import check_space, check_tuner
from easrec_nni.trial import nni_io as nni_trial_io
from easrec_nni.trial import run as trial
from easrec_nni.trial.tuner_direction import MINIMISES_BY_DEFAULT, check_direction

MAXIMISE = {"optimize_mode": "maximize"}
CONFIG: dict[str, Any] = {
    "searchSpace": {"lambda": {"_type": "choice", "_value": [0.1, 0.5]}},
    "trialCommand": "python3 -m easrec_nni.trial --settings settings.yml",
    "trialConcurrency": 2,
    "maxTrialNumber": 4,
    "tuner": {"name": "Random"},
    "trainingService": {"platform": "local"},
}
Make = Callable[..., ExperimentFile]


@pytest.fixture
def make(tmp_path: Path, tiny_dataset: Dataset) -> Make:
    """Factory of a valid experiment with changes of the test."""
    space = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0]}
    (tmp_path / "settings.yml").write_text(yaml.safe_dump({"data": str(tiny_dataset.path), "space": space}))

    def make(**changes: Any) -> ExperimentFile:
        document = {key: value for key, value in (CONFIG | changes).items() if value is not None}
        (tmp_path / "tiny.yml").write_text(yaml.safe_dump(document))
        return read_experiment(tmp_path / "tiny.yml")

    return make


def default_mode(class_name: str) -> Any:
    """Default of ``optimize_mode`` in a class's source, without importing it: some need missing packages."""
    module, _, name = class_name.rpartition(".")
    path = Path(*module.split("."))
    base = Path(nni.__file__).parents[1]
    file = base / path.with_suffix(".py")
    files = [file] if file.is_file() else sorted((base / path).glob("*.py"))
    for entry in files:
        for node in ast.walk(ast.parse(entry.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name == name:
                made = next(it for it in node.body if isinstance(it, ast.FunctionDef) and it.name == "__init__")
                given = made.args.defaults
                defaults = dict(
                    zip([it.arg for it in made.args.args[-len(given) :]] if given else [], given, strict=True)
                )
                return ast.literal_eval(defaults["optimize_mode"]) if "optimize_mode" in defaults else None
    raise AssertionError(f"{class_name} is not in {files}")


def test_the_tuners_that_minimise_are_those_whose_code_does() -> None:
    minimising = set()
    for meta in config_manager.get_all_algo_meta():
        if default_mode(str(meta.class_name)) == "minimize":
            minimising |= {entry.lower() for entry in (meta.name, meta.alias) if entry}
    assert minimising == MINIMISES_BY_DEFAULT


@pytest.mark.parametrize(
    ("algorithms", "words"),
    [
        ({"tuner": {"name": "TPE"}}, "tuner: TPE minimises by default"),
        ({"tuner": {"name": "tpe", "classArgs": {"seed": 1}}}, "tuner: tpe minimises"),
        ({"tuner": {"name": "Anneal", "classArgs": None}}, "tuner: Anneal minimises"),
        ({"tuner": {"name": "Evolution", "classArgs": {"optimize_mode": "minimize"}}}, "optimize_mode is minimize"),
        ({"tuner": {"name": "GridSearch", "classArgs": {"optimize_mode": "minimize"}}}, "optimize_mode is minimize"),
        ({"tuner": {"className": "my.Tuner", "classArgs": {"optimize_mode": "minimize"}}}, "optimize_mode is minimize"),
        ({"tuner": {"name": "Evolution", "classArgs": {"optimize_mode": "maximise"}}}, "no optimize_mode 'maximise'"),
        ({"tuner": {"name": "Evolution", "classArgs": {"optimize_mode": True}}}, "no optimize_mode True"),
        (
            {
                "tuner": {"name": "Random"},
                "assessor": {"name": "Medianstop", "classArgs": {"optimize_mode": "minimize"}},
            },
            "assessor: optimize_mode is minimize",
        ),
        (
            {"tuner": {}, "assessor": {"name": "Medianstop", "classArgs": {"optimize_mode": "max"}}},
            "assessor: NNI has no optimize_mode 'max'",
        ),
    ],
)
def test_what_would_prefer_the_smallest_is_refused_with_the_line(
    make: Make, algorithms: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        check_direction(algorithms)
    role = caught.value.message.split(":")[0]
    assert caught.value.message.endswith(f"write `classArgs: {{optimize_mode: maximize}}` under {role}")
    if algorithms["tuner"].get("name"):
        with pytest.raises(UserError, match=words):
            check_tuner(make(**algorithms))


@pytest.mark.parametrize(
    "algorithms",
    [
        {},
        {"tuner": None, "assessor": None},
        {"tuner": {"name": "GridSearch"}},
        {"tuner": {"name": "Random", "classArgs": {"seed": 1}}},
        {"tuner": {"name": "Evolution"}},
        {"tuner": {"name": "TPE", "classArgs": MAXIMISE}, "assessor": {"name": "Medianstop"}},
        {"tuner": {"className": "my.Tuner", "classArgs": {"optimize_mode": "up"}}},
    ],
)
def test_what_prefers_the_largest_passes(algorithms: dict[str, Any]) -> None:
    check_direction(algorithms)


@pytest.mark.parametrize("name", ["GridSearch", "Random", "TPE", "Evolution"])
def test_tuners_that_work_draw_the_first_trials(make: Make, name: str) -> None:
    text = check_tuner(make(tuner={"name": name, "classArgs": MAXIMISE}, assessor={"name": "Medianstop"}))
    assert text == f"{name}, with Medianstop: drew 2 trial(s) from this search space"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"tuner": {"name": "TPE", "classArgs": {**MAXIMISE, "sed": 1}}},
            "classArgs.sed is not an argument of TPE; it has optimize_mode, seed, tpe_args",
        ),
        (
            {"tuner": {"name": "TPE", "classArgs": {**MAXIMISE, "tpe_args": {"gama": 1}}}},
            "unexpected keyword argument 'gama'",
        ),
        ({"tuner": {"name": "Batch", "classArgs": MAXIMISE}}, "it has none, leave classArgs out"),
        ({"tuner": {"name": "Anneal", "classArgs": MAXIMISE}}, "No module named 'hyperopt'; tuners that work here are"),
        ({"tuner": {"name": "Evolution", "classArgs": {"population_size": "x"}}}, "TypeError"),
        ({"tuner": {"name": "Evolution", "classArgs": {"population_size": 0}}}, "The population is empty"),
        ({"tuner": {"name": "Medianstop"}}, "NNI has no tuner named Medianstop"),
        ({"assessor": {"name": "Random"}}, "NNI has no assessor named Random"),
        ({"assessor": {"name": "Medianstop", "classArgs": {"start_step": "x"}}}, "'<' not supported"),
        ({"assessor": {"name": "Medianstop", "classArgs": {"start": 1}}}, "it has optimize_mode, start_step"),
        (
            {"assessor": {"name": "Curvefitting", "classArgs": MAXIMISE}},
            "classArgs.optimize_mode is not an argument of",
        ),
        ({"tuner": {"name": "GP"}, "searchSpace": {"lambda": {"_type": "normal", "_value": [1, 0.1]}}}, "unsupported"),
        ({"tuner": {"name": "GP"}, "searchSpace": {"loss": {"_type": "choice", "_value": ["gbce"]}}}, "only numerical"),
        (
            {"tuner": {"name": "Metis"}, "searchSpace": {"lambda": {"_type": "loguniform", "_value": [1, 2]}}},
            "loguniform",
        ),
        ({"tuner": {"name": "GridSearch"}, "searchSpace": {}}, "Search space is empty"),
        ({"tuner": {"name": "Hyperband"}}, "Hyperband gives each trial a budget, which trials here do not support"),
        ({"tuner": {"name": "PBT"}}, "gives each trial a load_checkpoint_dir"),
    ],
)
def test_tuners_and_assessors_that_would_die_are_refused(make: Make, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        check_tuner(make(**changes))
    assert "\n" not in caught.value.message


def test_what_is_not_tried(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tuner_checks, "_rehearse", lambda document: None)
    custom = {"className": "my.Tuner", "codeDirectory": str(tmp_path)}
    assert "a custom tuner" in check_tuner(make(tuner=custom))
    assert "drew no trial within 90 seconds" in check_tuner(make())
    assert "the search space is invalid" in check_tuner(make(searchSpace={"lambda": [1]}))
    foreign = make(trialCommand="./mine.sh", tuner={"name": "TPE", "classArgs": {"optimize_mode": "minimize"}})
    assert check_tuner(foreign)  # what another program reports may be a loss
    annotated = make(searchSpace=None, useAnnotation=True)
    assert "not checked" in check_space(annotated) and "not tried" in check_tuner(annotated)


def test_the_search_space_is_said(make: Make) -> None:
    space = {"lambda": {"_type": "loguniform", "_value": [0.1, 1]}, "seed": {"_type": "choice", "_value": [1]}}
    assert check_space(make(searchSpace=space)) == "lambda (loguniform), seed (choice)"
    with pytest.raises(UserError, match="searchSpace, lambda"):
        check_space(make(searchSpace={"lambda": [1]}))


def choice(*values: Any) -> dict[str, Any]:
    return {"_type": "choice", "_value": list(values)}


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"search.epochs": {"_type": "uniform", "_value": [1, 9]}}, "searchSpace, search.epochs: .*search.epochs"),
        ({"search.epochs": {"_type": "quniform", "_value": [0, 9, 1]}}, "searchSpace, search.epochs: .*0"),
        ({"lambda": {"_type": "normal", "_value": [0.1, 0.1]}}, "searchSpace, lambda: .*-0.2"),
        ({"space.dropout": {"_type": "uniform", "_value": [0, 2]}}, "searchSpace, space.dropout: .*2.0"),
        ({"space.dropuot": choice(0.1)}, "searchSpace, space.dropuot: .*did you mean"),
        ({"space.heads": choice(3)}, "searchSpace, space.heads: .*heads=3"),
        ({"search.budget": choice("1%", "100%")}, "searchSpace, search.budget: .*the smallest possible budget is 0"),
        ({"loss": choice({"_name": "gbce"})}, "searchSpace, loss: "),
        ({"history": choice("overlapping"), "mode": choice("augmented")}, "none of its .*mode: causal"),
    ],
)
def test_values_that_no_trial_could_run_with_are_refused_by_key(make: Make, space: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_settings_and_data(make(searchSpace=space))


def test_values_that_fit_beside_others_pass_and_combinations_that_fail_are_said(make: Make) -> None:
    together = {"space.hidden": choice(9), "space.heads": choice(3)}  # neither fits the settings' other one
    assert "combinations" not in check_settings_and_data(make(searchSpace=together))
    text = check_settings_and_data(make(searchSpace={"space.hidden": choice(8, 12), "space.heads": choice(2, 3)}))
    assert "1 of 4 combinations will fail, the first with: " in text and "heads=3" in text


def test_of_a_large_space_each_value_is_tried_by_itself(make: Make) -> None:
    space = {name: choice(*range(1, 9)) for name in ("seed", "search.epochs", "retrain.epochs", "search.arch_every")}
    assert "combinations" not in check_settings_and_data(make(searchSpace=space))
    with pytest.raises(UserError, match=r"searchSpace, retrain\.epochs: .*0"):
        check_settings_and_data(make(searchSpace={**space, "retrain.epochs": choice(*range(8))}))


def test_batches_of_hyper_parameters_are_tried_as_they_are(make: Make) -> None:
    batch = make(tuner={"name": "Batch"}, searchSpace={"all": choice({"lambda": 0.1, "seed": 1}, {"lambda": 0.2})})
    assert "combinations" not in check_settings_and_data(batch)
    assert check_tuner(batch) == "Batch: drew 2 trial(s) from this search space"
    wrong = make(tuner={"name": "Batch"}, searchSpace={"all": choice({"lamda": 0.1})})
    with pytest.raises(UserError, match="none of its combinations can run; the first fails with: .*'lamda'"):
        check_settings_and_data(wrong)


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"tuner": {"name": "TPE"}}, 2, "error: tuner: TPE minimises by default"),
        ({"tuner": {"name": "TPE", "classArgs": MAXIMISE}}, 0, ""),
        ({}, 0, ""),  # a manager on another machine cannot be asked
    ],
)
def test_a_trial_that_nnictl_started_asks_which_way_its_tuner_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], params: dict[str, Any], code: int, words: str
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(trial, "trial_parameters", lambda: {"seed": 3})
    monkeypatch.setattr(trial, "experiment_params", lambda: params)
    monkeypatch.setattr(trial.signal, "signal", lambda number, handler: None)
    assert trial.run_program(ran.append) == code
    error = capsys.readouterr().err
    assert error.startswith(words) and len(error.splitlines()) == (1 if code else 0)
    assert ran == ([] if code else [{"seed": 3}])


def test_the_experiments_document_is_the_managers_where_it_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert nni_trial_io.experiment_params() == {}  # outside a trial
    monkeypatch.setenv("NNI_TRIAL_JOB_ID", "abcde")
    monkeypatch.setenv("NNI_PLATFORM", "local")
    answers = {"experiment": {"params": {"tuner": {"name": "TPE"}}}}
    monkeypatch.setattr(nni_trial_io, "_query_manager", answers.__getitem__)
    assert nni_trial_io.experiment_params() == {"tuner": {"name": "TPE"}}
    answers.clear()  # a manager that is gone does not end the trial
    assert nni_trial_io.experiment_params() == {}
    monkeypatch.setenv("NNI_PLATFORM", "remote")
    assert nni_trial_io.experiment_params() == {}
