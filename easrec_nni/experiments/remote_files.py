"""Files of trials that ran on machines of NNI's remote service: where they are, and how they get here.

NNI brings results back and leaves files where they were written. The experiment's records name the machines, with user,
port and key, and the machine that ran a trial; the trial's own final result names its folder there.
"""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write
from easrec_nni.experiments.experiment import Experiment, Trial
from easrec_nni.experiments.sqlite_records import open_records
from easrec_nni.trial.manager_api import DAMAGE

__all__ = ["Machine", "fetch", "trial_machines", "trial_place"]

LONGEST_PLACE = 500  # characters of a machine and a folder
LONGEST_REASON = 300  # characters of what scp says
CONNECT_SECONDS = 20
FETCH_SECONDS = 3600.0
# What reaches a command line and, with older versions of scp, a shell of the worker.
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@%+:-]{0,254}")
_FOLDER = re.compile(r"/[A-Za-z0-9_.@%+=:,/-]+")


@dataclass(frozen=True)
class Machine:
    """A worker as the experiment's ``machineList`` has it; `key` is the file of an SSH key, or None."""

    host: str
    user: str
    port: int = 22
    key: str | None = None

    def scp(self, file: str, target: str) -> list[str]:
        """Words of the command that copies a file from there; it asks nobody for a password."""
        options = ["-P", str(self.port), *(["-i", self.key] if self.key else [])]
        host = f"[{self.host}]" if ":" in self.host else self.host
        options += ["-o", f"ConnectTimeout={CONNECT_SECONDS}"]
        return ["scp", "-B", *options, f"{self.user}@{host}:{file}", target]


def trial_place(trial: Trial) -> str:
    """Machine and folder where a trial's files are, as it knew them itself; empty if it did not say."""
    place = (trial.final or {}).get("files_at")
    return place if isinstance(place, str) and len(place) <= LONGEST_PLACE else ""


def trial_machines(experiment: Experiment, trial: Trial) -> list[Machine]:
    """Machines that may have run a trial, the likeliest first; none where the service is another one.

    NNI notes ``HOST:~/nni-experiments/ID/environments/remote-workerN/trials/ID``. Several machines of a list may have
    one host and differ in their ports: the N-th is the N-th of the list, unless NNI had to connect again.

    Raises
    ------
    UserError
        The records cannot be read.
    """
    file = experiment.folder / "db" / "nni.sqlite"
    try:
        with open_records(file) as database:
            latest = "select params from ExperimentProfile order by revision desc limit 1"
            services = json.loads((database.execute(latest).fetchone() or ["{}"])[0]).get("trainingService") or []
            noted = (
                "select logPath from TrialJobEvent where trialJobId = ? and logPath like '%:~/%' order by rowid desc"
            )
            place = str((database.execute(noted, (trial.id,)).fetchone() or [""])[0])
        listed = [
            _machine(each)
            for service in (services if isinstance(services, list) else [services])
            for each in service.get("machineList") or []
        ]
    except (sqlite3.Error, OSError, *DAMAGE) as error:
        raise UserError(f"cannot read the experiment's machines in NNI's records {file}: {error}") from None
    number = re.search(r"/environments/remote-worker(\d+)/", place)
    expected = int(number.group(1)) - 1 if number else -1
    host = place.partition(":~/")[0]
    fitting = [(index != expected, index) for index, machine in enumerate(listed) if machine.host == host]
    return [listed[index] for _, index in sorted(fitting)]


def _machine(entry: dict[str, Any]) -> Machine:
    host, user, port = str(entry["host"]), str(entry["user"]), int(entry.get("port") or 22)
    if not _WORD.fullmatch(host) or not _WORD.fullmatch(user) or not 0 < port < 65536:
        raise ValueError(f"{user!r} at {host!r}, port {port}, is no machine")
    key = entry.get("sshKeyFile")
    return Machine(host, user, port, str(key) if key else None)


def fetch(experiment: Experiment, trial: Trial, name: str, target: Path) -> None:
    """Copy a file of a trial from the worker that ran it, whole or not at all.

    Parameters
    ----------
    experiment, trial
        Of NNI's remote service; the trial has a final result.
    name
        File in the trial's folder.
    target
        File to write.

    Raises
    ------
    UserError
        No machine of the experiment gives it; the message has the command to try by hand.
    """
    place = trial_place(trial)
    folder = place.partition(":")[2]
    if not _FOLDER.fullmatch(folder) or not folder.endswith(f"/{trial.id}"):
        raise UserError(f"trial {trial.id} does not say where its files are; its result names {place[:200]!r}")
    machines = trial_machines(experiment, trial)
    if not machines:
        raise UserError(f"{name} of trial {trial.id}: its files stay on the machine that ran it: scp {place}/{name} .")
    problems = []
    for machine in machines:
        try:
            with atomic_write(target) as temporary:
                _copy(machine, f"{folder}/{name}", temporary)
            return
        except UserError as error:
            problems.append(error.message)
    raise UserError(f"{name} of trial {trial.id} does not come from the worker: {'; '.join(problems)}")


def _copy(machine: Machine, file: str, target: Path) -> None:
    command = machine.scp(file, str(target))
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
    except FileNotFoundError:
        raise UserError("there is no scp on this machine: install OpenSSH's client") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"scp did not end within {FETCH_SECONDS:g} seconds") from None
    if done.returncode != 0:
        reason = " ".join(done.stderr.split())[:LONGEST_REASON] or "scp failed"
        by_hand = shlex.join(["scp", *command[2:-1], "."]).replace(f" -o ConnectTimeout={CONNECT_SECONDS}", "")
        raise UserError(f"{reason}; by hand: {by_hand}")
