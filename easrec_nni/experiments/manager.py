"""NNI's manager: starting one for an experiment, asking how it goes, stopping it."""

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
    """How an experiment goes: NNI's word for it, and what went wrong in the manager or the tuner."""

    name: str
    errors: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether no trial will start or go on."""
        return self.name in ("DONE", "STOPPED", "STOPPING", "ERROR")


def free_port(first: int = DEFAULT_PORT) -> int:
    """First port from `first` on that nobody listens on.

    Raises
    ------
    UserError
        None is free among the next 200.
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
    """Environment of the manager, and through it of the trials.

    Parameters
    ----------
    expose
        Leave the manager listening on all interfaces, as NNI does.
    """
    environment = dict(os.environ)
    # `python3` of a trialCommand shall be the interpreter that runs now.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    environment.setdefault("PYTHONWARNINGS", "ignore")  # NNI 3.0 is older than all that it imports
    environment.setdefault("OMP_NUM_THREADS", "1")  # before a trial has set its own number
    # A trial reports to its manager on this machine: never through a proxy.
    for name in ("no_proxy", "NO_PROXY"):
        environment[name] = ",".join(filter(None, [environment.get(name), "localhost", "127.0.0.1"]))
    scripts = ["nni_patience.cjs"] if expose else ["nni_patience.cjs", "nni_loopback.cjs"]
    options = [f'--require "{Path(__file__).with_name(name)}"' for name in scripts]
    environment["NODE_OPTIONS"] = " ".join(filter(None, [environment.get("NODE_OPTIONS", ""), *options]))
    return environment


def _nnictl(words: list[str], expose: bool) -> str:
    """Output of an ``nnictl`` that starts a manager, and returns when it runs.

    An interrupt waits for it to end: killed halfway, it would leave a manager that nobody knows.
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
    """Have ``nnictl`` start a manager on the first free port; `of` names in messages what is started."""
    wanted = port
    while True:
        chosen = free_port(wanted)
        output = _nnictl([*words, "--port", str(chosen)], expose)
        created = _CREATED.search(output)
        if created and "Web portal URLs" in output:
            break
        if _PORT_TAKEN.search(output):  # by somebody faster than us
            wanted = chosen + 1
            continue
        if created:
            stop_processes(created.group(1))
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        raise UserError(f"NNI refuses {of}: {lines[-1] if lines else 'nnictl said nothing'}")
    if chosen != port:
        say(f"port {port} is taken; the web UI is on {chosen}")
    return find_experiment(created.group(1))


def start_experiment(
    config: str | Path,
    port: int = DEFAULT_PORT,
    *,
    expose: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Experiment:
    """Start an experiment with the ``nnictl`` of this environment; its trials run in the background.

    Parameters
    ----------
    config
        YAML file of the experiment.
    port
        Wanted port of the web UI; if it is taken, the next free one is used.
    expose
        Let other machines reach the web UI and its REST API, which can start commands and has no password. NNI does so
        by itself; here only this machine can, unless asked otherwise.
    say
        Called with a line to show, such as that the port was taken.

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
    """Go on with an experiment that was stopped, or whose manager died, with ``nnictl resume``.

    Trials that have ended stay as they are. Those that ran when the manager ended start again under their own ids, in
    their own folders, and go on there; see :mod:`easrec_nni.training.history`. A manager that was killed leaves its
    tuner behind, which would take the new tuner's place at the new manager and break the experiment: it is ended first.

    Parameters
    ----------
    experiment_id
        NNI's id.
    port, expose, say
        As of :func:`start_experiment`.

    Raises
    ------
    UserError
        There is no such experiment, it runs, or NNI refuses to resume it.
    """
    experiment = find_experiment(experiment_id)
    if experiment.running:
        raise UserError(f"experiment {experiment_id} runs already, its web UI: {experiment.url}")
    left = [process for process in experiment_processes(experiment_id) if not is_trial(process)]
    managers = [process.pid for process in left if is_manager(process)]
    if managers:  # on a machine whose cores are all at work it may be slow to answer
        raise UserError(
            f"the manager of experiment {experiment_id} is alive (process {managers[0]}) and does not answer: try "
            f"again later, or nnictl stop {experiment_id} first"
        )
    kill_processes(left)
    return _start(["resume", experiment_id], f"experiment {experiment_id}", port, expose, say)


def experiment_status(experiment: Experiment) -> ExperimentStatus:
    """How an experiment goes now; ``STOPPED`` if its manager does not answer."""
    try:
        answer = ask(experiment.address, "check-status")
        return ExperimentStatus(str(answer["status"]), tuple(map(str, answer.get("errors", []))))
    except (OSError, *DAMAGE):
        return ExperimentStatus("STOPPED")


def stop_experiment(experiment: Experiment) -> None:
    """Stop an experiment with its trials; its records and files stay.

    Raises
    ------
    RuntimeError
        A process of it cannot be ended.
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
    """An experiment that is stopped when the block is left, whatever the reason.

    Parameters
    ----------
    config, port, expose, say
        As of :func:`start_experiment`.
    """
    experiment = start_experiment(config, port, expose=expose, say=say)
    try:
        yield experiment
    except KeyboardInterrupt:
        say(f"stopping experiment {experiment.id} …")
        raise
    finally:
        stop_experiment(experiment)
