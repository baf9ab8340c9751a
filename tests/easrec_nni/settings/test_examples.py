from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from nni.experiment.config import ExperimentConfig

from easrec_nni.experiments.file import read_experiment
from easrec_nni.experiments.launching import address_finding
from easrec_nni.experiments.search_space_checks import representative_values
from easrec_nni.settings.examples import copy_examples, examples_folder
from easrec_nni.settings.trial import TrialSettings


def items(number: int) -> Any:
    """Fake dataset with a number of items only."""
    return SimpleNamespace(n_items=number)


NAMES = ("ml100k", "ml1m", "gowalla", "douban", "amazon-beauty", "my-log")


@pytest.fixture(scope="module", params=["checkout", "copied"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the examples: in the checkout, and as copied by `easrec init`."""
    if request.param == "checkout":
        return examples_folder()
    copied = tmp_path_factory.mktemp("examples")
    copy_examples(copied)
    return copied


@pytest.mark.parametrize("name", NAMES)
def test_nni_takes_the_experiment(folder: Path, name: str) -> None:
    config = ExperimentConfig.load(folder / f"{name}.yml")
    document = config.json()  # checks what loading does not
    assert config.trial_concurrency == (2 if name == "ml100k" else 1)
    assert config.tuner.name == "GridSearch"
    assert config.tuner.class_args == {"optimize_mode": "maximize"}
    assert config.training_service.platform == "local"
    assert Path(document["trialCodeDirectory"]) == folder.resolve()


@pytest.mark.parametrize("name", NAMES)
def test_trials_differ_in_lambda_and_every_value_is_tried(folder: Path, name: str) -> None:
    document = yaml.safe_load((folder / f"{name}.yml").read_text(encoding="utf-8"))
    values = document["searchSpace"]["lambda"]["_value"]
    assert len(set(values)) >= 3
    assert document["maxTrialNumber"] == len(values)


@pytest.mark.parametrize("name", NAMES)
def test_the_trials_settings_exist_and_are_valid(folder: Path, name: str) -> None:
    document = yaml.safe_load((folder / f"{name}.yml").read_text(encoding="utf-8"))
    words = document["trialCommand"].split()
    assert words[:3] == ["python3", "-m", "easrec_nni.trial"]
    settings = TrialSettings.read(folder / words[words.index("--settings") + 1])
    assert not settings.space_for(items(1000)).is_fixed
    for value in document["searchSpace"]["lambda"]["_value"]:
        assert settings.with_parameters({"lambda": value}).search.lambda_ == value


TABLE_II = {
    "ml1m": (200, 128, 256, 4, 4, (0, 0.25, 0.5)),
    "gowalla": (100, 64, 256, 4, 4, (0, 0.5, 0.75)),
    "douban": (100, 128, 256, 4, 4, (0, 0.5, 0.75)),
}


@pytest.mark.parametrize("name", TABLE_II)
def test_shapes_are_those_of_table_ii(folder: Path, name: str) -> None:
    space = TrialSettings.read(folder / "settings" / f"{name}.yml").space_for(items(1000))
    shape = (space.max_length, space.hidden, space.inner, space.layers, space.heads, space.hidden_pruning)
    assert shape == TABLE_II[name]
    assert space.inner_pruning == space.hidden_pruning


def test_the_folder_that_nni_copies_is_small() -> None:
    assert sum(1 for _ in examples_folder().rglob("*")) < 50


def test_lines_fit_the_screen() -> None:
    for file in examples_folder().rglob("*.yml"):
        assert max(map(len, file.read_text(encoding="utf-8").splitlines())) <= 120, file


PLATFORMS = {"remote": "remote", "kubeflow": "kubeflow", "frameworkcontroller": "frameworkcontroller"}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy of the examples, with a home folder that has the SSH key of remote.yml."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").touch()
    return Path(shutil.copytree(examples_folder(), tmp_path / "examples"))


@pytest.mark.parametrize("name", PLATFORMS)
def test_nni_takes_the_experiment_of_another_platform(elsewhere: Path, name: str) -> None:
    config = ExperimentConfig.load(elsewhere / f"{name}.yml")
    document = config.json()  # checks what loading does not
    assert config.training_service.platform == PLATFORMS[name]
    assert document["trainingService"]["trialCommand"] == config.trial_command
    assert (config.tuner.name, config.tuner.class_args) == ("GridSearch", {"optimize_mode": "maximize"})


@pytest.mark.parametrize("name", PLATFORMS)
def test_trials_have_settings_threads_and_values(elsewhere: Path, name: str) -> None:
    experiment = read_experiment(elsewhere / f"{name}.yml")
    assert experiment.command_words[-1] == "settings/ml100k.yml"
    assert "OMP_NUM_THREADS=4" in experiment.command_words  # a trial elsewhere cannot ask how many share the cores
    assert experiment.settings_file == elsewhere / "settings" / "ml100k.yml"
    settings = TrialSettings.read(experiment.settings_file)
    values = representative_values(experiment.search_space["lambda"])
    assert len(values) == experiment.most_trials
    for value in values:
        assert settings.with_parameters({"lambda": value}).search.lambda_ == value


@pytest.mark.parametrize("name", ["kubeflow", "frameworkcontroller"])
def test_pods_see_the_share_where_nni_mounts_it(elsewhere: Path, name: str) -> None:
    import nni_node

    source = Path(nni_node.__file__).parent / "training_service/reusable/environments/kubernetes"
    mounts = (source / "kubernetesEnvironmentService.js").read_text()
    words = read_experiment(elsewhere / f"{name}.yml").command_words
    home = next(word.split("=")[1] for word in words if word.startswith("EASREC_HOME="))
    assert f"this.CONTAINER_MOUNT_PATH = '{home}'" in mounts


def test_the_door_stays_closed_where_it_can(elsewhere: Path) -> None:
    assert not address_finding(read_experiment(elsewhere / "remote.yml"), expose=False).wrong
    for name in ("kubeflow", "frameworkcontroller"):
        assert address_finding(read_experiment(elsewhere / f"{name}.yml"), expose=False).wrong


def test_the_remote_machines_need_no_password(elsewhere: Path) -> None:
    machines = yaml.safe_load((elsewhere / "remote.yml").read_text())["trainingService"]["machineList"]
    assert len({machine["host"] for machine in machines}) == 2
    assert all("password" not in machine and machine["pythonPath"] == "/opt/easrec/bin" for machine in machines)
