"""NNI's remote service against a real sshd on this machine: code, data, results, and weights when asked for."""

from __future__ import annotations

import getpass
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

import easrec_nni
from easrec_nni import Architecture, Dataset
from easrec_nni.architecture.weights import read_weights
from easrec_nni.cli.main import app
from easrec_nni.experiments.file import read_experiment
from easrec_nni.experiments.launching import launch
from easrec_nni.experiments.manager import stop_experiment
from easrec_nni.experiments.records import list_trials
from easrec_nni.settings.examples import examples_folder
from tests.experiments import SMALL_SPACE, wait_for

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
ROOT = Path(easrec_nni.__file__).parents[1]
SETTINGS: dict[str, Any] = {
    "space": SMALL_SPACE,
    "search": {"epochs": 1, "batch_size": 8},
    "retrain": {"epochs": 1, "batch_size": 8},
}


def free_socket() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def worker(tmp_path: Path, tiny_dataset: Dataset) -> Iterator[dict[str, Any]]:
    """An sshd with a configuration, keys and a port of its own; a home, and a dataset there, of its own too.

    The entry of ``machineList`` for it.
    """
    if SSHD is None or (os.geteuid() == 0 and not Path("/run/sshd").is_dir()):
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail("there is no OpenSSH server: .ci/run installs it, and makes /run/sshd")
        pytest.skip("there is no OpenSSH server")
    folder, home = tmp_path / "sshd", tmp_path / "worker-home"
    folder.mkdir(mode=0o700)
    home.mkdir()
    shutil.copytree(tiny_dataset.path, home / "easrec" / "datasets" / "tiny")
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copyfile(folder / "key.pub", folder / "authorized")
    # What an administrator sets up for the user of a worker: where things are, and that pip asks nobody.
    variables = {"HOME": home, "EASREC_HOME": home / "easrec", "PIP_NO_INDEX": 1}
    variables |= {"PYTHONPATH": ROOT, "MPLCONFIGDIR": Path.home() / ".config" / "matplotlib"}
    port = free_socket()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nPasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
        f"SetEnv {' '.join(f'{name}={value}' for name, value in variables.items())}\n"
    )
    log = (folder / "log").open("w")
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        wait_for(lambda: "Server listening" in (folder / "log").read_text(), 30)
        yield {
            "host": "127.0.0.1",
            "port": port,
            "user": getpass.getuser(),
            "sshKeyFile": str(folder / "key"),
            "pythonPath": str(Path(sys.executable).parent),
        }
    finally:
        children = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        server.wait(20)
        psutil.wait_procs(children, timeout=5)
        log.close()


@pytest.fixture
def config(worker: dict[str, Any], nni_home: Path, tmp_path: Path) -> Path:
    """The example's file with this worker and small settings; the second trial asks for another dataset."""
    code = tmp_path / "code"
    (code / "settings").mkdir(parents=True)
    document = yaml.safe_load((examples_folder() / "remote.yml").read_text())
    document["trainingService"]["machineList"] = [worker]
    command = document["trialCommand"].replace("/opt/easrec/bin/python3", sys.executable)
    document["trialCommand"] = command.replace("OMP_NUM_THREADS=4", "OMP_NUM_THREADS=1")
    document["searchSpace"] = {"data_fingerprint": {"_type": "choice", "_value": ["", "0" * 64]}}
    document |= {"maxTrialNumber": 2, "trialConcurrency": 1}
    (code / "settings" / "ml100k.yml").write_text(yaml.safe_dump({"data": "tiny", **SETTINGS}))
    (code / "remote.yml").write_text(yaml.safe_dump(document))
    return code / "remote.yml"


@pytest.fixture
def scp(worker: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An scp that knows the worker's key from a file of the test's own, where a user's would be in ~/.ssh."""
    public = (tmp_path / "sshd" / "host.pub").read_text()
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{worker['port']} {public}")
    program = tmp_path / "bin" / "scp"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("scp")} -o UserKnownHostsFile={known} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return known


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_over_ssh(
    config: Path, worker: dict[str, Any], scp: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    output = io.StringIO()
    experiment = launch(config, Console(file=output, width=400), 21_700)  # closed to other machines
    assert "needs the dataset 'tiny', any of that name: with data_fingerprint" in output.getvalue()
    wait_for(lambda: [trial.is_over for trial in list_trials(experiment)] == [True, True])
    good, refused = list_trials(experiment)
    there = tmp_path / "worker-home" / "nni-experiments" / experiment.id / "environments" / "remote-worker1" / "trials"
    assert good.status == "SUCCEEDED", (there / good.id / "trial.stderr").read_text()
    assert refused.status == "FAILED" and refused.final is None
    reason = (there / refused.id / "trial.stderr").read_text()
    assert f"has fingerprint {tiny_dataset.fingerprint[:12]}, and the settings ask for 000000000000" in reason
    assert "Traceback" not in reason
    assert [report["phase"] for report in good.intermediate] == ["search", "retrain", "retrain"]
    assert (good.final or {})["dataset_fingerprint"] == tiny_dataset.fingerprint
    metrics = json.loads((there / good.id / "retrained" / "metrics.json").read_text())
    assert metrics["training"]["threads"] == 1  # as trialCommand says
    stop_experiment(experiment)

    assert not good.folder.exists()  # nothing of the trial is here, NNI's records are all there is
    out = tmp_path / "here" / "architecture.json"
    done = CliRunner().invoke(app, ["export", "--experiment", experiment.id, "--out", str(out), "--weights"])
    assert done.exit_code == 0, done.output
    assert "rebuilt from NNI's records" in done.output
    assert Architecture.read(out) == Architecture.read(there / good.id / "architecture.json")
    weights = out.with_name("supernet.safetensors")
    assert weights.read_bytes() == (there / good.id / "supernet.safetensors").read_bytes()
    assert read_weights(weights)

    scp.write_text("")  # a worker whose key nobody has seen
    out = tmp_path / "elsewhere" / "architecture.json"
    done = CliRunner().invoke(app, ["export", "--experiment", experiment.id, "--out", str(out), "--weights"])
    assert done.exit_code == 2 and "Host key verification failed" in done.output
    by_hand = f"by hand: scp -P {worker['port']} -i {worker['sshKeyFile']} {worker['user']}@127.0.0.1:{there}/{good.id}"
    assert by_hand in " ".join(done.output.split())
    assert not out.exists() and not list(out.parent.glob("*"))


def test_the_example_names_what_the_workers_need(config: Path) -> None:
    experiment = read_experiment(config)
    assert experiment.platform == "remote" and experiment.interpreter == sys.executable
    assert experiment.settings_file == config.with_name("settings") / "ml100k.yml"
    assert not experiment.connects_from_elsewhere
