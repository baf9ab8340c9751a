"""Processes of an NNI experiment: find them, and stop all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

__all__ = ["experiment_processes", "is_manager", "is_trial", "kill_processes", "stop_processes", "tuner_is_alive"]

STOP_SECONDS = 20.0
TRIAL_SECONDS = 3.0


def experiment_processes(experiment_id: str) -> list[psutil.Process]:
    """Living processes of an experiment: manager, tuner, trials and their children."""
    this = os.getpid()
    return [process for process in psutil.process_iter() if process.pid != this and _belongs(process, experiment_id)]


def _belongs(process: psutil.Process, experiment_id: str) -> bool:
    """Whether a process is an experiment's manager, tuner, trial (or its child) or TensorBoard."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        command = process.cmdline()
        if experiment_id in command and "--experiment-id" in command:
            return True
        if any("--logdir_spec=" in word and f"/{experiment_id}/" in word for word in command):
            return True  # TensorBoard, which the web UI's button starts and NNI never ends
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    checkpoint = Path(environment.get("NNI_CHECKPOINT_DIRECTORY", "/"))
    return environment.get("NNI_EXP_ID") == experiment_id or checkpoint.parent.name == experiment_id


def is_manager(process: psutil.Process) -> bool:
    """Whether a process is an experiment's manager."""
    return "--experiment-id" in _command_line(process)


def is_trial(process: psutil.Process) -> bool:
    """Whether a process is a trial or a trial's child."""
    try:
        return "NNI_TRIAL_JOB_ID" in process.environ()
    except (psutil.Error, OSError):
        return False


def tuner_is_alive(experiment_id: str) -> bool:
    """Whether an experiment's tuner process is alive; NNI does not report a dead one."""
    return any("--exp_params" in _command_line(process) for process in experiment_processes(experiment_id))


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def stop_processes(experiment_id: str) -> None:
    """Stop all processes of an experiment, the manager first, which stops its trials.

    A training trial takes long to react, and the manager waits for it: after a few seconds it is killed.

    Raises
    ------
    RuntimeError
        A process cannot be ended.
    """
    managers = [process for process in experiment_processes(experiment_id) if is_manager(process)]
    _signal(managers, psutil.Process.terminate)
    start = time.monotonic()
    while (left := experiment_processes(experiment_id)) and time.monotonic() < start + STOP_SECONDS:
        if not any(is_manager(process) for process in left):
            break  # without a manager, waiting is useless
        if time.monotonic() > start + TRIAL_SECONDS:
            _signal([process for process in left if process not in managers], psutil.Process.kill)
        time.sleep(0.1)
    for action in (psutil.Process.terminate, psutil.Process.kill):
        left = experiment_processes(experiment_id)
        _signal(left, action)
        psutil.wait_procs(left, timeout=3)
    left = experiment_processes(experiment_id)
    if left:
        ids = [process.pid for process in left]
        raise RuntimeError(f"processes of experiment {experiment_id} cannot be ended: {ids}")


def kill_processes(processes: Sequence[psutil.Process]) -> None:
    """Kill processes and wait for their end."""
    _signal(processes, psutil.Process.kill)
    psutil.wait_procs(processes, timeout=STOP_SECONDS)


def _signal(processes: Sequence[psutil.Process], action: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            action(process)
        except psutil.NoSuchProcess:
            continue
