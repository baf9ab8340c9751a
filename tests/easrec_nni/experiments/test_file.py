"""Experiment files: their properties in NNI's form, and refusals before NNI starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from easrec_nni.common.errors import UserError
from easrec_nni.experiments.file import ExperimentFile, read_experiment
from easrec_nni.settings.examples import examples_folder
from tests.experiments import experiment_document

CONFIG = experiment_document(searchSpace={"lambda": {"_type": "choice", "_value": [0.0, 1.0]}})
MACHINE = {"host": "worker", "user": "me", "password": "secret"}

Make = Callable[..., ExperimentFile]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Factory of an experiment file with changes; a value of None removes the key."""

    def make(**changes: Any) -> ExperimentFile:
        document = {key: value for key, value in {**CONFIG, **changes}.items() if value is not None}
        (tmp_path / "tiny.yml").write_text(yaml.safe_dump(document))
        return read_experiment(tmp_path / "tiny.yml")

    return make


def test_an_example_is_read_as_nni_reads_it() -> None:
    experiment = read_experiment(examples_folder() / "ml100k.yml")
    assert (experiment.platform, experiment.concurrency, experiment.most_trials) == ("local", 2, 4)
    assert experiment.code_directory == examples_folder().resolve()
    assert experiment.settings_file == examples_folder().resolve() / "settings" / "ml100k.yml"
    assert experiment.interpreter == "python3"
    assert experiment.working_directory == Path.home() / "nni-experiments"
    assert not experiment.copies_code and not experiment.connects_from_elsewhere


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trialConcurrency": 0}, "it requires trial_concurrency > 0"),
        ({"trialConcurrency": "many"}, "type of trial_concurrency"),
        (
            {"maxExperimentDuration": "30 minutes"},
            "write durations in seconds, .* maxExperimentDuration: 30m",
        ),
        ({"trialCodeDirectory": "nowhere"}, "nowhere.* is not a directory"),
        ({"experimentNam": "x"}, "does not have field.* experimentnam"),
        ({"trainingService": None}, "trainingService must name a platform"),
        ({"trainingService": {"platform": "mars"}}, "trainingService must name a platform"),
        ({"tuner": {"name": "GridSerch"}}, "there is no tuner 'GridSerch'; did you mean 'GridSearch'"),
        ({"assessor": {"name": "none of them"}}, "there is no assessor 'none of them'; choose from .*Medianstop"),
        ({"searchSpace": None}, "search_space"),
        ({"trialCommand": None}, "trial_command"),
        ({"trainingServicePlatform": "local"}, "has the format of NNI 1"),
    ],
)
def test_what_nni_refuses_is_refused_in_one_line(make: Make, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        make(**changes)
    assert "\n" not in caught.value.message
    assert make().concurrency == 2  # NNI remembers a failed file, and would refuse this one for it


def test_missing_files_and_files_of_other_kinds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no experiment file .*; `easrec init` writes examples"):
        read_experiment(tmp_path / "none.yml")
    (tmp_path / "list.yml").write_text("[1, 2]")
    with pytest.raises(UserError, match="must hold keys and values"):
        read_experiment(tmp_path / "list.yml")


@pytest.mark.parametrize(
    ("command", "interpreter", "settings"),
    [
        ("python3 -m easrec_nni.trial --settings settings.yml", "python3", "settings.yml"),
        ("/opt/env/bin/python3.11 -W ignore -m easrec_nni.trial --settings s.yml", "/opt/env/bin/python3.11", "s.yml"),
        ("cd x && OMP_NUM_THREADS=1 python -m easrec_nni.trial --settings 'my s.yml'", "python", "my s.yml"),
        ("python3 -m easrec_nni.study.trial --study here", "python3", None),
        ("python3 -m easrec_nni.trial --settings s.yml --set seed=1 2>log | tee x", "python3", "s.yml"),
        ("python3 trial.py --settings settings.yml", None, None),
        ("easrec_nni.trial", None, None),
        ("python3 -m 'easrec_nni.trial", None, None),
    ],
)
def test_what_a_trial_command_runs(make: Make, command: str, interpreter: str | None, settings: str | None) -> None:
    experiment = make(trialCommand=command)
    assert experiment.interpreter == interpreter
    assert experiment.settings_file == (None if settings is None else experiment.code_directory / settings)


@pytest.mark.parametrize(
    ("service", "copies", "from_elsewhere"),
    [
        ({"platform": "local"}, False, False),
        ({"platform": "local", "reuseMode": True}, True, False),
        ({"platform": "remote", "machineList": [MACHINE]}, True, False),  # NNI's remote service names localhost
        ({"platform": "remote", "machineList": [MACHINE], "nniManagerIp": "127.0.0.1"}, True, False),
        ({"platform": "remote", "machineList": [MACHINE], "nniManagerIp": "10.0.0.7"}, True, True),
        ({"platform": "remote", "machineList": [MACHINE], "reuseMode": True}, True, True),
    ],
)
def test_where_trials_run(make: Make, service: dict[str, Any], copies: bool, from_elsewhere: bool) -> None:
    experiment = make(trainingService=service)
    assert (experiment.copies_code, experiment.connects_from_elsewhere) == (copies, from_elsewhere)
    assert experiment.shows_passwords == (service["platform"] == "remote")


def test_the_search_space_is_inline_or_in_a_file_of_json_or_yaml_and_not_both(make: Make, tmp_path: Path) -> None:
    space = {"seed": {"_type": "choice", "_value": [1, 2]}}
    (tmp_path / "space.json").write_text(json.dumps(space, indent="\t"))  # tabs, which YAML refuses
    (tmp_path / "space.yml").write_text(yaml.safe_dump(space))
    assert make(searchSpace=space).search_space == space
    assert make(searchSpace=None, searchSpaceFile="space.json").search_space == space
    assert make(searchSpace=None, searchSpaceFile="space.yml").search_space == space
    for other in ("searchSpaceFile", "search_space_file"):
        with pytest.raises(UserError, match="a searchSpace and a searchSpaceFile, and NNI would take the file"):
            make(searchSpace=space, **{other: "space.yml"})
    with pytest.raises(UserError, match="none.json"):
        make(searchSpace=None, searchSpaceFile="none.json")
