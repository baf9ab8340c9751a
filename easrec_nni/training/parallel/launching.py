"""Starts the other processes of a run beside this one, and sees to it that none waits for another in vain.

A process that dies breaks its connections: the others' next exchange fails at once, and the run ends with a message
that says so; it can be repeated and goes on where its last epoch ended. The others hold the end of a pipe that this
process closes by ending, however it ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
import torch.distributed as dist

from easrec_nni.common.errors import UserError
from easrec_nni.common.threads import thread_environment
from easrec_nni.training.parallel import group

__all__ = ["Job", "side_by_side"]

# In which a process whose connection broke is found to have ended.
SECONDS_TO_DIE = 5


class Job(TypedDict):
    """What the other processes are told: the arguments of their stage's function."""

    data: str
    settings: dict[str, Any]
    out: str
    architecture: str | None
    weights: str | None
    refit_epochs: NotRequired[int]
    all_data_epochs: NotRequired[int]


@contextmanager
def side_by_side(devices: int, job: Job, worker: str) -> Iterator[None]:
    """Within, this process is one of ``devices`` that do the same; with one device, nothing happens.

    Parameters
    ----------
    devices
        Processes, this one included. Threads of this process are divided among them: two processes with as many
        threads as cores slow each other down.
    job
        What the others do.
    worker
        Module of the program that does it: the stage's.

    Raises
    ------
    UserError
        There are not as many GPUs, or another process ended before its work was done.
    """
    if devices == 1:
        yield
        return
    if torch.cuda.is_available() and torch.cuda.device_count() < devices:
        raise UserError(f"devices: {devices} are asked for, and there are {torch.cuda.device_count()} GPUs")
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // devices))
    try:
        with tempfile.TemporaryDirectory(prefix="easrec-") as folder, ExitStack() as stack:
            helpers = _Helpers(Path(folder), devices, job, worker, stack)
            try:
                helpers.begin()
                yield
                group.leave()
            except Exception as error:
                helpers.explain(error)
                raise
    finally:
        torch.set_num_threads(threads)


class _Helpers:
    """The other processes of a run."""

    def __init__(self, folder: Path, devices: int, job: Job, worker: str, stack: ExitStack) -> None:
        self.folder, self.devices, self.worker = folder, devices, worker
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        self.processes: list[subprocess.Popen[bytes]] = []
        stack.callback(self._clear)

    def begin(self) -> None:
        """Start them, and join them once they are there."""
        # Without NNI's variables: only the trial itself may speak to NNI. Loopback: no other machine takes part.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NNI_")}
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            environment[name] = os.environ.setdefault(name, "lo")
        environment |= thread_environment(torch.get_num_threads())
        for number in range(1, self.devices):
            command = [sys.executable, "-m", self.worker, str(self.folder), str(number)]
            command.append(str(self.devices))
            with (self.folder / f"{number}.log").open("wb") as log:
                self.processes.append(
                    subprocess.Popen(
                        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
                    )
                )
        for process in self.processes:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError("a process ended while it was started")
        group.join(self.folder, 0, self.devices)

    def explain(self, error: Exception) -> None:
        """Raise in terms of the process that ended, if one did."""
        if isinstance(error, UserError):
            return
        for number, process in enumerate(self.processes, start=1):
            try:
                code = process.wait(SECONDS_TO_DIE)
            except subprocess.TimeoutExpired:
                continue
            if code:
                lines = (self.folder / f"{number}.log").read_text(encoding="utf-8", errors="replace").split("\n")
                last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
                raise UserError(
                    f"process {number + 1} of {self.devices} ended with exit code {code} ({last}): run the same "
                    "command again to go on where the last epoch ended, or with --devices 1"
                ) from error

    def _clear(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        if dist.is_initialized():
            dist.destroy_process_group()
