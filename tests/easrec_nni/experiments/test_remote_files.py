from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.experiments import remote_files
from easrec_nni.experiments.experiment import Experiment, Trial
from easrec_nni.experiments.remote_files import Machine, fetch_file, trial_machines

PLACE = "worker-7:/home/me/nni-experiments/abcd1234/environments/remote-worker2/trials/t1"
MACHINES = [
    {"host": "10.0.0.1", "user": "me", "port": 22, "sshKeyFile": "/keys/a"},
    {"host": "10.0.0.1", "user": "me", "port": 2222, "sshKeyFile": "/keys/b"},
    {"host": "10.0.0.2", "user": "me"},
]


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Factory of an experiment's records with one trial."""

    def make(machines: Any = MACHINES, noted: str | None = "10.0.0.1", worker: int = 2) -> Experiment:
        (tmp_path / "db").mkdir(exist_ok=True)
        (tmp_path / "db" / "nni.sqlite").unlink(missing_ok=True)
        path = noted and f"{noted}:~/nni-experiments/abcd1234/environments/remote-worker{worker}/trials/t1"
        with closing(sqlite3.connect(tmp_path / "db" / "nni.sqlite")) as database, database:
            database.execute("create table ExperimentProfile (params text, revision integer)")
            database.execute("create table TrialJobEvent (trialJobId text, logPath text)")
            for revision, listed in enumerate(([], machines)):
                params = json.dumps({"trainingService": {"platform": "remote", "machineList": listed}})
                database.execute("insert into ExperimentProfile values (?, ?)", (params, revision))
            database.executemany("insert into TrialJobEvent values ('t1', ?)", [(path,), (None,)])
        return Experiment("abcd1234", "", tmp_path, 0, False)

    return make


def trial(place: Any = PLACE) -> Trial:
    return Trial("t1", 0, "SUCCEEDED", {}, Path("/nowhere"), (), {"default": 1.0, "files_at": place})


def test_machines_of_one_host_are_told_apart_by_their_place_in_the_list(make: Any) -> None:
    assert trial_machines(make(), trial()) == [
        Machine("10.0.0.1", "me", 2222, "/keys/b"),
        Machine("10.0.0.1", "me", 22, "/keys/a"),
    ]
    assert trial_machines(make(noted="10.0.0.2", worker=9), trial()) == [Machine("10.0.0.2", "me")]
    assert trial_machines(make(noted=None), trial()) == []


def test_the_command_asks_nobody_and_knows_port_and_key() -> None:
    words = Machine("fe80::1", "me", 2222, "/keys/b").scp("/file", "here")
    assert words == [*"scp -B -P 2222 -i /keys/b -o ConnectTimeout=20".split(), "me@[fe80::1]:/file", "here"]


def test_every_machine_is_tried_and_the_file_is_whole(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def copy(machine: Machine, file: str, target: Path) -> None:
        tried.append(machine.port)
        target.write_text("half")
        if machine.port == 2222:
            raise UserError("no route; by hand: scp")
        assert file == f"{PLACE.split(':')[1]}/weights"
        target.write_text("whole")

    monkeypatch.setattr(remote_files, "_copy", copy)
    fetch_file(make(), trial(), "weights", tmp_path / "weights")
    assert tried == [2222, 22] and (tmp_path / "weights").read_text() == "whole"
    with pytest.raises(UserError, match="cannot be copied from the worker: no route; by hand: scp"):
        fetch_file(make(MACHINES[1:2]), trial(), "weights", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "place",
    [
        None,
        7,
        "",
        "worker",
        "worker:relative/t1",
        "worker:/home/x/../../etc/passwd",
        "worker:/home/$(touch canary)/t1",
        "worker:/home/`touch canary`/t1",
        "worker:/home/a b;touch canary/t1",
        "worker:/home/\nx/t1",
        "worker:/home/other",
        "worker:/" + "x" * 600 + "/t1",
    ],
)
def test_a_folder_that_could_be_a_command_is_refused(place: Any, make: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not report where its files are"):
        fetch_file(make(), trial(place), "weights", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize(
    "machine",
    [
        {"host": "-oProxyCommand=touch canary", "user": "me"},
        {"host": "10.0.0.1", "user": "-oProxyCommand=x"},
        {"host": "a b", "user": "me"},
        {"host": "10.0.0.1", "user": "me", "port": 70000},
        {"user": "me"},
        "10.0.0.1",
    ],
)
def test_a_machine_that_could_be_an_option_is_refused(machine: Any, make: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the experiment's machines"):
        fetch_file(make([machine]), trial(), "weights", tmp_path / "weights")


def test_records_without_machines(make: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its files stay on the machine that ran it: scp worker-7:"):
        fetch_file(make([]), trial(), "weights", tmp_path / "weights")
