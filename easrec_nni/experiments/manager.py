"""NNI's manager: start, resume, query and stop it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.signals import signals_ignored
from easrec_nni.experiments.experiment import Experiment
from easrec_nni.experiments.processes import experiment_processes, is_manager, is_trial, kill_processes, stop_processes
from easrec_nni.experiments.records import find_experiment
from easrec_nni.trial.manager_api import DAMAGE, ask

__all__ = [
    "ExperimentStatus",
    "experiment_status",
    "free_port",
    "manager_environment",
    "resume_experiment",
    "running_experiment",
    "start_experiment",
    "stop_experiment",
]

DEFAULT_PORT = 8080
PORTS_TRIED = 200
START_SECONDS = 150.0

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CREATED = re.compile(r"Experiment ID: ?([A-Za-z0-9_-]+)")
_PORT_TAKEN = re.compile(r"Port \d+ is not idle|EADDRINUSE")


@dataclass(frozen=True)
class ExperimentStatus:
    """Status of an experiment: NNI's name of it, and errors of manager and tuner."""

    name: str
    errors: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether no trial will start or continue."""
        return self.name in ("DONE", "STOPPED", "STOPPING", "ERROR")


def free_port(first: int = DEFAULT_PORT) -> int:
    """First free port from `first` on.

    Raises
    ------
    UserError
        None of the next 200 ports is free.
    """
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections do not count
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise UserError(f"no port from {first} on is free; name another one with --port")


def manager_environment(expose: bool) -> dict[str, str]:
    """Environment variables of the manager, which the trials inherit.

    Parameters
    ----------
    expose
        Whether the manager listens on all interfaces, as NNI's default, instead of loopback only.
    """
    environment = dict(os.environ)
    # `python3` in a trialCommand must be the running interpreter.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    environment.setdefault("PYTHONWARNINGS", "ignore")  # NNI 3.0 triggers warnings of its newer dependencies
    environment.setdefault("OMP_NUM_THREADS", "1")  # until a trial sets its own number of threads
    # A trial reports to its manager on this machine: never through a proxy.
    for name in ("no_proxy", "NO_PROXY"):
        environment[name] = ",".join(filter(None, [environment.get(name), "localhost", "127.0.0.1"]))
    scripts = ["nni_patience.cjs"] if expose else ["nni_patience.cjs", "nni_loopback.cjs"]
    options = [f'--require "{Path(__file__).with_name(name)}"' for name in scripts]
    environment["NODE_OPTIONS"] = " ".join(filter(None, [environment.get("NODE_OPTIONS", ""), *options]))
    return environment


def _nnictl(words: list[str], expose: bool) -> str:
    """Run an ``nnictl`` command that starts a manager; return its output.

    On an interrupt, wait for it to end: killed halfway, it would leave an unregistered manager behind.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "easrec_nni.experiments.nnictl", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=manager_environment(expose),
        start_new_session=True,  # Ctrl-C in the terminal does not reach it
    ) as process:
        try:
            output, _ = process.communicate(timeout=START_SECONDS)
        except KeyboardInterrupt:
            with signals_ignored():
                output, _ = process.communicate(timeout=START_SECONDS)
                created = _CREATED.search(_COLOUR.sub("", output))
                if created:
                    stop_processes(created.group(1))
            raise
        except subprocess.TimeoutExpired:
            process.kill()
            raise UserError(f"nnictl did not end within {START_SECONDS:g} seconds: {' '.join(words)}") from None
    return _COLOUR.sub("", output)


def _start(words: list[str], of: str, port: int, expose: bool, say: Callable[[str], None]) -> Experiment:
    """Start a manager with ``nnictl`` on the first free port; `of` is its name in messages."""
    wanted = port
    while True:
        free = free_port(wanted)
        output = _nnictl([*words, "--port", str(free)], expose)
        created = _CREATED.search(output)
        if created and "Web portal URLs" in output:
            break
        if _PORT_TAKEN.search(output):  # by a faster process
            wanted = free + 1
            continue
        if created:
            stop_processes(created.group(1))
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        raise UserError(f"NNI refuses {of}: {lines[-1] if lines else 'nnictl printed nothing'}")
    if free != port:
        say(f"port {port} is taken; the web UI is on {free}")
    return find_experiment(created.group(1))


def start_experiment(
    config: str | Path,
    port: int = DEFAULT_PORT,
    *,
    expose: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Experiment:
    """Start an experiment with this environment's ``nnictl``; its trials run in the background.

    Parameters
    ----------
    config
        YAML file of the experiment.
    port
        Preferred port of the web UI; if it is taken, the next free one is used.
    expose
        Whether other machines can reach the web UI and its REST API, which has no password and can run commands.
        Unlike NNI's default, only this machine can.
    say
        Called with a line to print, such as that the port is taken.

    Raises
    ------
    UserError
        NNI refuses the file, or there is no free port.
    """
    file = Path(config)
    if not file.is_file():
        raise UserError(f"there is no experiment file {file}; `easrec init` writes examples")
    return _start(["create", "--config", str(file)], str(file), port, expose, say)


def resume_experiment(
    experiment_id: str,
    port: int = DEFAULT_PORT,
    *,
    expose: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Experiment:
    """Resume a stopped experiment, or one whose manager died, with ``nnictl resume``.

    Finished trials stay unchanged. Trials that ran when the manager ended restart under their ids and resume in their
    folders; see :mod:`easrec_nni.training.history`. A killed manager leaves its tuner behind, which would connect to
    the new manager in place of the new tuner and break the experiment, so it is killed first.

    Parameters
    ----------
    experiment_id
        NNI's id of the experiment.
    port, expose, say
        Arguments of :func:`start_experiment`.

    Raises
    ------
    UserError
        There is no such experiment, it is running, or NNI refuses to resume it.
    """
    experiment = find_experiment(experiment_id)
    if experiment.running:
        raise UserError(f"experiment {experiment_id} is already running; web UI: {experiment.url}")
    left = [process for process in experiment_processes(experiment_id) if not is_trial(process)]
    managers = [process.pid for process in left if is_manager(process)]
    if managers:  # on a busy machine it may be slow to answer
        raise UserError(
            f"the manager of experiment {experiment_id} is alive (process {managers[0]}) and does not answer: try "
            f"again later, or nnictl stop {experiment_id} first"
        )
    kill_processes(left)
    return _start(["resume", experiment_id], f"experiment {experiment_id}", port, expose, say)


def experiment_status(experiment: Experiment) -> ExperimentStatus:
    """Current status of an experiment; ``STOPPED`` if its manager does not answer."""
    try:
        answer = ask(experiment.address, "check-status")
        return ExperimentStatus(str(answer["status"]), tuple(map(str, answer.get("errors", []))))
    except (OSError, *DAMAGE):
        return ExperimentStatus("STOPPED")


def stop_experiment(experiment: Experiment) -> None:
    """Stop an experiment and its trials; records and files stay.

    Raises
    ------
    RuntimeError
        A process of the experiment cannot be ended.
    """
    with signals_ignored():
        stop_processes(experiment.id)


@contextmanager
def running_experiment(
    config: str | Path,
    port: int = DEFAULT_PORT,
    *,
    expose: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Experiment]:
    """Start an experiment, and stop it when the block ends, for whatever reason.

    Parameters
    ----------
    config, port, expose, say
        Arguments of :func:`start_experiment`.
    """
    experiment = start_experiment(config, port, expose=expose, say=say)
    try:
        yield experiment
    except KeyboardInterrupt:
        say(f"stopping experiment {experiment.id} …")
        raise
    finally:
        stop_experiment(experiment)
