"""GPU settings of experiments, on machines with no, one and two GPUs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from easrec_nni.common.errors import UserError
from easrec_nni.experiments import gpu_checks
from easrec_nni.experiments.file import ExperimentFile, read_experiment
from easrec_nni.experiments.gpu_checks import check_gpus

REMOTE = {"platform": "remote", "machineList": [{"host": "worker", "user": "me", "password": "secret"}]}


def asking(folder: Path, service: dict[str, Any], **changes: Any) -> ExperimentFile:
    document = {
        "searchSpace": {"lambda": {"_type": "choice", "_value": [0.1]}},
        "trialCommand": "python3 -m easrec_nni.trial --settings settings.yml",
        "trialConcurrency": 1,
        "tuner": {"name": "Random"},
        "trainingService": {"platform": "local"} | service,
    }
    (folder / "tiny.yml").write_text(yaml.safe_dump(document | changes))
    return read_experiment(folder / "tiny.yml")


@pytest.fixture(params=[0])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Answer of NNI's GPU collector."""
    answer: dict[str, Any] = {"gpuNumber": request.param, "processes": []}
    monkeypatch.setattr(gpu_checks, "_collect_gpus", lambda: answer)
    return answer


SHARED = {"useActiveGpu": True}


@pytest.mark.parametrize(
    ("machine", "service", "changes", "words"),
    [
        (0, SHARED, {"trialGpuNumber": 1}, "trialGpuNumber: 1 requests a GPU and NNI finds none"),
        (0, SHARED | {"trialGpuNumber": 1}, {}, "trialGpuNumber: 1 requests a GPU and NNI finds none"),
        (0, {"gpuIndices": [0]}, {}, "gpuIndices requests a GPU"),
        (0, {}, {"tunerGpuIndices": 0}, "tunerGpuIndices requests a GPU"),
        (1, {"gpuIndices": "1"}, {}, "gpuIndices names GPU 1 and this machine has only GPU 0"),
        (2, {}, {"tunerGpuIndices": [0, 2]}, "tunerGpuIndices names GPU 2 and this machine has GPUs 0 to 1"),
        (2, SHARED, {"trialGpuNumber": 3}, "trialGpuNumber is 3 and trials may use 2"),
        (2, SHARED | {"gpuIndices": [1]}, {"trialGpuNumber": 2}, "trialGpuNumber is 2 and trials may use 1"),
        (1, SHARED, {"trialGpuNumber": 1}, "which NNI 3.0 never gives to one trial.*maxTrialNumberPerGpu: 2"),
        (2, SHARED, {"trialGpuNumber": 2}, "requests all 2 GPU"),
    ],
    indirect=["machine"],
)
def test_gpus_that_are_not_there(
    machine: dict[str, Any], tmp_path: Path, service: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        check_gpus(asking(tmp_path, service, **changes))


@pytest.mark.parametrize(
    ("machine", "service", "changes", "words"),
    [
        (0, {}, {}, "none requested"),
        (0, {}, {"trialGpuNumber": 0}, "none requested"),
        (0, {"useActiveGpu": True}, {}, "none requested"),
        (0, REMOTE, {"trialGpuNumber": 1}, "on the workers, which cannot be checked from here"),
        (0, REMOTE, {}, "none requested"),
        (1, SHARED | {"maxTrialNumberPerGpu": 2}, {"trialGpuNumber": 1}, "1 GPU"),
        (2, SHARED, {"trialGpuNumber": 1}, "2 GPU.* 1 a trial"),
        (2, {"gpuIndices": [1]}, {}, "2 GPU"),
    ],
    indirect=["machine"],
)
def test_gpus_that_are_there_or_not_asked_for(
    machine: dict[str, Any], tmp_path: Path, service: dict[str, Any], changes: dict[str, Any], words: str
) -> None:

    assert re.search(words, check_gpus(asking(tmp_path, service, **changes)))


@pytest.mark.parametrize("machine", [2], indirect=True)
def test_a_machine_whose_gpus_are_at_work_makes_trials_wait(machine: dict[str, Any], tmp_path: Path) -> None:
    machine["processes"] = [{"pid": 1, "gpuIndex": 0}, {"pid": 2, "gpuIndex": 1}]
    assert "a trial waits until" in check_gpus(asking(tmp_path, {"useActiveGpu": False}, trialGpuNumber=1))
    assert "waits" not in check_gpus(asking(tmp_path, {"useActiveGpu": True}, trialGpuNumber=1))


def test_nnis_collector_answers_here_with_gpus_or_the_reason_why_not() -> None:
    answer = gpu_checks._collect_gpus()
    assert answer.get("gpuNumber") or answer["failures"]
