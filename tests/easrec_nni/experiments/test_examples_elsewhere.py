"""Examples for other machines: NNI's own classes take them, and they ask for what docs/other-machines.md explains."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from nni.experiment.config import ExperimentConfig

from easrec_nni.experiments.file import read_experiment
from easrec_nni.experiments.launching import address_finding
from easrec_nni.experiments.search_space_checks import drawn_values
from easrec_nni.settings.examples import examples_folder
from easrec_nni.settings.trial import TrialSettings

PLATFORMS = {"remote": "remote", "kubeflow": "kubeflow", "frameworkcontroller": "frameworkcontroller"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples, in a home that has the key which remote.yml names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").touch()
    return Path(shutil.copytree(examples_folder(), tmp_path / "examples"))


@pytest.mark.parametrize("name", PLATFORMS)
def test_nni_takes_the_experiment(folder: Path, name: str) -> None:
    config = ExperimentConfig.load(folder / f"{name}.yml")
    document = config.json()  # checks what loading does not
    assert config.training_service.platform == PLATFORMS[name]
    assert document["trainingService"]["trialCommand"] == config.trial_command
    assert (config.tuner.name, config.tuner.class_args) == ("GridSearch", {"optimize_mode": "maximize"})


@pytest.mark.parametrize("name", PLATFORMS)
def test_trials_have_settings_threads_and_values(folder: Path, name: str) -> None:
    experiment = read_experiment(folder / f"{name}.yml")
    assert experiment.command_words[-1] == "settings/ml100k.yml"
    assert "OMP_NUM_THREADS=4" in experiment.command_words  # a trial elsewhere cannot ask how many share the cores
    assert experiment.settings_file == folder / "settings" / "ml100k.yml"
    settings = TrialSettings.read(experiment.settings_file)
    values = drawn_values(experiment.search_space["lambda"])
    assert len(values) == experiment.most_trials
    for value in values:
        assert settings.with_parameters({"lambda": value}).search.lambda_ == value


@pytest.mark.parametrize("name", ["kubeflow", "frameworkcontroller"])
def test_pods_see_the_share_where_nni_mounts_it(folder: Path, name: str) -> None:
    import nni_node

    source = Path(nni_node.__file__).parent / "training_service/reusable/environments/kubernetes"
    mounts = (source / "kubernetesEnvironmentService.js").read_text()
    words = read_experiment(folder / f"{name}.yml").command_words
    home = next(word.split("=")[1] for word in words if word.startswith("EASREC_HOME="))
    assert f"this.CONTAINER_MOUNT_PATH = '{home}'" in mounts


def test_the_door_stays_closed_where_it_can(folder: Path) -> None:
    assert not address_finding(read_experiment(folder / "remote.yml"), expose=False).wrong
    for name in ("kubeflow", "frameworkcontroller"):
        assert address_finding(read_experiment(folder / f"{name}.yml"), expose=False).wrong


def test_the_remote_machines_need_no_password(folder: Path) -> None:
    machines = yaml.safe_load((folder / "remote.yml").read_text())["trainingService"]["machineList"]
    assert len({machine["host"] for machine in machines}) == 2
    assert all("password" not in machine and machine["pythonPath"] == "/opt/easrec/bin" for machine in machines)
