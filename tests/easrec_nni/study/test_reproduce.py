from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from easrec_nni.cell import read_result
from easrec_nni.data import Dataset
from easrec_nni.nni_client import free_port

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


@pytest.mark.slow
def test_a_study_that_is_interrupted_goes_on_and_repeats_nothing(tiny_dataset: Dataset, tmp_path: Path) -> None:
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
    commands = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    assert not [line for line in commands if str(tmp_path) in line]  # no process of the study is left
    first = (cells / "popularity" / "seed0" / "result.json").stat().st_mtime_ns
    assert read_result(cells / "sasrec-linrec" / "seed0") is None
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    for system in ("popularity", "easrec", "sasrec-linrec"):
        result = read_result(cells / system / "seed0")
        assert result is not None and result["dataset"]["fingerprint"] == tiny_dataset.fingerprint
    assert (cells / "popularity" / "seed0" / "result.json").stat().st_mtime_ns == first
    assert "of 3 cells are to be run" in done.stdout
