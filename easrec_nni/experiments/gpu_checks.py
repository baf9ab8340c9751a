"""Check of an experiment's GPU settings against the GPUs that NNI finds on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.experiments.file import ExperimentFile

__all__ = ["check_gpus"]

COLLECTOR = "nni.tools.nni_manager_scripts.collect_gpu_info"
COLLECTOR_SECONDS = 60.0


def check_gpus(experiment: ExperimentFile) -> str:
    """Check that this machine has the GPUs that trials and tuner request.

    Raises
    ------
    UserError
        There are too few GPUs, or none with that index.
    """
    service = experiment.document["trainingService"]
    if experiment.platform != "local":
        services = service if isinstance(service, list) else [service]
        remote = any(entry.get("trialGpuNumber") or entry.get("gpuIndices") for entry in services)
        return "on the workers, which cannot be checked from here" if remote else "none requested"
    wanted = service.get("trialGpuNumber") or experiment.document.get("trialGpuNumber") or 0
    indices = {
        "gpuIndices": service.get("gpuIndices") or [],
        "tunerGpuIndices": experiment.document.get("tunerGpuIndices") or [],
    }
    if not wanted and not any(indices.values()):
        return "none requested"
    answer = _collect_gpus()
    count = int(answer.get("gpuNumber") or 0)
    without = "leave trialGpuNumber, useActiveGpu, gpuIndices and tunerGpuIndices out, and trials use the CPU"
    if not count:
        why = "; ".join(map(str, answer.get("failures") or ())) or "none found"
        asked = f"trialGpuNumber: {wanted}" if wanted else next(name for name, listed in indices.items() if listed)
        raise UserError(f"{asked} requests a GPU and NNI finds none on this machine ({why}): {without}")
    for name, listed in indices.items():
        missing = [index for index in listed if not 0 <= index < count]
        if missing:
            raise UserError(f"{name} names GPU {missing[0]} and this machine has {_range(count)}")
    usable = indices["gpuIndices"] or list(range(count))
    if wanted > len(usable):
        raise UserError(f"trialGpuNumber is {wanted} and trials may use {len(usable)} GPU(s): {without}")
    # NNI 3.0's scheduler compares with `>=` instead of `>`: a trial that requests all GPUs waits forever.
    shared = service.get("maxTrialNumberPerGpu") or 1
    if wanted and wanted / shared >= count:
        raise UserError(
            f"trialGpuNumber: {wanted} requests all {count} GPU(s) of this machine, which NNI 3.0 never gives to one "
            "trial: it waits forever. Leave trialGpuNumber and useActiveGpu out, and a trial sees every GPU; or, for "
            "trials that share one, set maxTrialNumberPerGpu: 2"
        )
    busy = {process.get("gpuIndex") for process in answer.get("processes") or ()}
    free = [index for index in usable if index not in busy]
    if wanted and not service.get("useActiveGpu") and len(free) < wanted:
        return (
            f"{count} GPU(s), and with useActiveGpu: false a trial waits until other programs release {wanted} of "
            "them; set useActiveGpu: true to share"
        )
    return f"{count} GPU(s) here, {wanted} a trial"


def _range(count: int) -> str:
    return "only GPU 0" if count == 1 else f"GPUs 0 to {count - 1}"


def _collect_gpus() -> dict[str, Any]:
    """Answer of NNI's GPU collector, which the manager uses too."""
    command = [sys.executable, "-W", "ignore", "-m", COLLECTOR]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COLLECTOR_SECONDS, check=False)
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        return {"failures": [f"{type(error).__name__} of {COLLECTOR}"]}
    return answer if isinstance(answer, dict) else {}
