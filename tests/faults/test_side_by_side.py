"""Two experiments started at one moment, for one port, beside the lock of an nnictl that was killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from easrec_nni.experiments.experiment import Experiment
from easrec_nni.experiments.manager import free_port, start_experiment, stop_experiment
from easrec_nni.experiments.processes import experiment_processes
from easrec_nni.experiments.records import find_experiment, list_experiments, list_trials
from tests.experiments import wait_for

TRIAL = """
import nni
kind = nni.get_next_parameter()["kind"]
nni.report_intermediate_result({"default": kind / 2})
nni.report_final_result({"default": kind})
"""


def write_experiment(folder: Path, *kinds: float) -> Path:
    folder.mkdir()
    (folder / "trial.py").write_text(TRIAL)
    config = {
        "experimentName": folder.name,
        "searchSpace": {"kind": {"_type": "choice", "_value": list(kinds)}},
        "trialCommand": "python3 trial.py",
        "trialConcurrency": 2,
        "maxTrialNumber": len(kinds),
        "tuner": {"name": "GridSearch"},
        "trainingService": {"platform": "local"},
    }
    (folder / "experiment.yml").write_text(yaml.safe_dump(config))
    return folder / "experiment.yml"


@pytest.mark.slow
def test_two_experiments_do_not_mix(nni_home: Path, tmp_path: Path) -> None:
    records = nni_home / "nni-experiments"
    records.mkdir()
    stale = records / ".experiment.lock.99999"  # NNI's lock, of a process that is gone
    stale.touch()
    os.utime(stale, (time.time() - 60,) * 2)
    wanted = free_port(21_500)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", wanted))
        listener.listen()
        files = [write_experiment(tmp_path / "first", 0.1, 0.2), write_experiment(tmp_path / "second", 0.7, 0.8)]
        said: list[str] = []
        with ThreadPoolExecutor(2) as both:
            experiments = list(both.map(lambda file: start_experiment(file, wanted, say=said.append), files))
    first, second = experiments
    assert len({first.id, second.id}) == 2 and len({wanted, first.port, second.port}) == 3
    assert sorted(said) == sorted(f"port {wanted} is taken; the web UI is on {each.port}" for each in experiments)
    assert list_experiments().keys() == {first.id, second.id}

    def results(experiment: Experiment) -> list[tuple[object, float | None]]:
        trials = list_trials(find_experiment(experiment.id))
        return sorted(((trial.parameters["kind"], trial.score) for trial in trials), key=str)

    wait_for(lambda: all(trial.is_over for each in experiments for trial in list_trials(each)))
    expected = [(0.1, 0.1), (0.2, 0.2)], [(0.7, 0.7), (0.8, 0.8)]
    wait_for(lambda: (results(first), results(second)) == expected)
    stop_experiment(first)
    assert experiment_processes(first.id) == [] and find_experiment(second.id).running
    stop_experiment(second)
    assert (results(first), results(second)) == expected  # from the records of each
    assert json.loads((records / ".experiment").read_text()).keys() == {first.id, second.id}


def test_the_lock_of_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    program = f"""
import pathlib, time
from easrec_nni.common.locks import exclusive_lock
with exclusive_lock(pathlib.Path({str(tmp_path)!r})):
    print("held", flush=True)
    time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        waiting = f"""
import pathlib
from easrec_nni.common.locks import exclusive_lock
with exclusive_lock(pathlib.Path({str(tmp_path)!r})):
    print("held", flush=True)
"""
        with subprocess.Popen(
            [sys.executable, "-c", waiting], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as next_one:
            assert next_one.stderr is not None
            assert "another process is using" in next_one.stderr.readline()
            assert next_one.poll() is None
            holder.kill()
            assert next_one.communicate(timeout=60)[0] == "held\n"
    assert (tmp_path / "lock").is_file()  # stays, and stops nobody
