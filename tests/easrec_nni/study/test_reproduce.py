from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from easrec_nni.architecture.document import Architecture
from easrec_nni.data import Dataset
from easrec_nni.experiments.export import export_architecture
from easrec_nni.experiments.manager import free_port
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.study.cells import read_result

SETTINGS = {
    "space": {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "supernet": "shared"},
    "search": {"epochs": 1},
    "retrain": {"epochs": 1},
}


def wait_for_result(folder: Path, process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while read_result(folder) is None:
        assert process.poll() is None and time.monotonic() < deadline, process.stdout.read() if process.stdout else ""
        time.sleep(0.1)


def check_export(experiment: str, supernet: Path, folder: Path) -> None:
    """Check that networks can be exported from the ended experiment of a study."""
    trials = [trial for trial in list_trials(find_experiment(experiment)) if "architecture" in (trial.final or {})]
    finals = {final["system"]: (trial, final) for trial in trials if (final := trial.final) is not None}
    assert finals.keys() == {"easrec", "sasrec-linrec"}
    best, final = max(finals.values(), key=lambda pair: pair[1]["default"])
    least = final["default"] - final["default_standard_error"]
    as_good = [pair for pair in finals.values() if pair[1]["default"] >= least]
    smallest, _ = min(as_good, key=lambda pair: pair[1]["madds_per_user"])
    for trial, is_smallest in ((best, False), (smallest, True)):
        exported = export_architecture(experiment, folder / "network.json", smallest=is_smallest)
        assert (exported.trial.id, exported.rebuilt) == (trial.id, False)
        assert exported.architecture == Architecture.parse((trial.final or {})["architecture"], "")
    export_architecture(experiment, folder / "easrec.json", finals["easrec"][0].id, weights=True)
    assert (folder / "supernet.safetensors").read_bytes() == supernet.read_bytes()
    command = [sys.executable, "-m", "easrec_nni.cli.main", "show", experiment, "--smallest"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert f"trial {smallest.number} ({smallest.id})" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_study_that_is_interrupted_goes_on_and_repeats_nothing(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    settings = tmp_path / "settings.yml"
    settings.write_text(yaml.safe_dump({"data": str(tiny_dataset.path), **SETTINGS}))
    command = [sys.executable, "-m", "easrec_nni.cli.main", "reproduce", "table3", "--dataset", str(tiny_dataset.path)]
    command += ["--systems", "popularity,easrec,sasrec-linrec", "--seeds", "1", "--settings", str(settings)]
    command += ["--jobs", "1", "--no-measure", "--no-report", "--port", str(free_port(18500)), "--out", "study"]
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    cells = tmp_path / "study" / "cells"
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **streams) as process:
        wait_for_result(cells / "popularity" / "seed0", process)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    commands = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in commands if str(tmp_path) in line]  # no process of the study is left
    first = (cells / "popularity" / "seed0" / "result.json").stat().st_mtime_ns
    assert read_result(cells / "sasrec-linrec" / "seed0") is None
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    for system in ("popularity", "easrec", "sasrec-linrec"):
        result = read_result(cells / system / "seed0")
        assert result is not None and result.dataset.fingerprint == tiny_dataset.fingerprint
        assert result.command.startswith("python -m easrec_nni.study.trial --study ")
    assert (cells / "popularity" / "seed0" / "result.json").stat().st_mtime_ns == first
    assert re.search(r"running \d of 3 cells", done.stdout)
    experiment = re.findall(r"experiment (\w{8}), web UI", done.stdout)[-1]
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    check_export(experiment, cells / "easrec" / "seed0" / "search" / "supernet.safetensors", tmp_path)
