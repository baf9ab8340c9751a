"""Start the other processes of a run, and make sure no process hangs when another one dies.

A process that dies breaks its connections: the others' next collective fails at once, and the run ends with an error;
run again, it resumes after its last completed epoch. The others read from a pipe that closes when this process ends,
for whatever reason.
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

__all__ = ["Job", "data_parallel"]

# Time for a process whose connection broke to exit.
SECONDS_TO_DIE = 5


class Job(TypedDict):
    """Arguments of the stage's function in the other processes."""

    data: str
    settings: dict[str, Any]
    out: str
    architecture: str | None
    weights: str | None
    refit_epochs: NotRequired[int]
    all_data_epochs: NotRequired[int]


@contextmanager
def data_parallel(devices: int, job: Job, worker: str) -> Iterator[None]:
    """Context of a data-parallel run with ``devices`` processes; a no-op for one device.

    Parameters
    ----------
    devices
        Number of processes, including this one. The threads of this process are divided among them: processes with as
        many threads as cores slow each other down.
    job
        Job of the other processes.
    worker
        Name of the stage's worker module, which runs the job.

    Raises
    ------
    UserError
        There are too few GPUs, or another process ended early.
    """
    if devices == 1:
        yield
        return
    if torch.cuda.is_available() and torch.cuda.device_count() < devices:
        raise UserError(f"devices: {devices} requested, but this machine has {torch.cuda.device_count()} GPUs")
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // devices))
    try:
        with tempfile.TemporaryDirectory(prefix="easrec-") as folder, ExitStack() as stack:
            workers = _Workers(Path(folder), devices, job, worker, stack)
            try:
                workers.start()
                yield
                group.leave()
            except Exception as error:
                workers.explain(error)
                raise
    finally:
        torch.set_num_threads(threads)


class _Workers:
    """The other processes of a run, ranks 1 and up."""

    def __init__(self, folder: Path, devices: int, job: Job, worker: str, stack: ExitStack) -> None:
        self.folder, self.devices, self.worker = folder, devices, worker
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        self.processes: list[subprocess.Popen[bytes]] = []
        stack.callback(self._clear)

    def start(self) -> None:
        """Start the workers, wait until they are ready, and join the process group."""
        # Without NNI's variables: only the trial itself may report to NNI. Loopback: all processes are on this machine.
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
                raise RuntimeError("a process ended during start-up")
        group.join(self.folder, 0, self.devices)

    def explain(self, error: Exception) -> None:
        """Raise an error that names the process that ended, if one did."""
        if isinstance(error, UserError):
            return
        for number, process in enumerate(self.processes, start=1):
            try:
                code = process.wait(SECONDS_TO_DIE)
            except subprocess.TimeoutExpired:
                continue
            if code:
                lines = (self.folder / f"{number}.log").read_text(encoding="utf-8", errors="replace").split("\n")
                last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
                raise UserError(
                    f"process {number + 1} of {self.devices} ended with exit code {code} ({last}): run the same "
                    "command again to resume after the last completed epoch, or use --devices 1"
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
