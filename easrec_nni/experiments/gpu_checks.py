"""GPUs that an experiment asks for, compared with those that NNI's manager will find on this machine."""

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
    """Whether this machine has the GPUs that trials or the tuner are to use; without them NNI ends, or waits for ever.

    Raises
    ------
    UserError
        There are too few, or none of that number.
    """
    service = experiment.document["trainingService"]
    if experiment.platform != "local":
        services = service if isinstance(service, list) else [service]
        elsewhere = any(each.get("trialGpuNumber") or each.get("gpuIndices") for each in services)
        return "of the workers, which cannot be checked from here" if elsewhere else "none asked for"
    wanted = service.get("trialGpuNumber") or experiment.document.get("trialGpuNumber") or 0
    indices = {
        "gpuIndices": service.get("gpuIndices") or [],
        "tunerGpuIndices": experiment.document.get("tunerGpuIndices") or [],
    }
    if not wanted and not any(indices.values()):
        return "none asked for"
    found = _gpus()
    count = int(found.get("gpuNumber") or 0)
    without = "leave trialGpuNumber, useActiveGpu, gpuIndices and tunerGpuIndices out, and trials use the CPU"
    if not count:
        why = "; ".join(map(str, found.get("failures") or ())) or "none found"
        asked = f"trialGpuNumber: {wanted}" if wanted else next(name for name, listed in indices.items() if listed)
        raise UserError(f"{asked} asks for a GPU and NNI finds none on this machine ({why}): {without}")
    for name, listed in indices.items():
        missing = [index for index in listed if not 0 <= index < count]
        if missing:
            raise UserError(f"{name} names GPU {missing[0]} and this machine has {_range(count)}")
    usable = indices["gpuIndices"] or list(range(count))
    if wanted > len(usable):
        raise UserError(f"trialGpuNumber is {wanted} and trials may use {len(usable)} GPU(s): {without}")
    # NNI 3.0's scheduler takes `>=` for `>`: a trial that wants all GPUs of a machine waits for ever.
    shared = service.get("maxTrialNumberPerGpu") or 1
    if wanted and wanted / shared >= count:
        raise UserError(
            f"trialGpuNumber: {wanted} asks for all {count} GPU(s) of this machine, which NNI 3.0 never gives to one "
            "trial, it waits for ever: leave trialGpuNumber and useActiveGpu out, a trial then sees every GPU; or, for "
            "trials that share one, set maxTrialNumberPerGpu: 2"
        )
    busy = {process.get("gpuIndex") for process in found.get("processes") or ()}
    free = [index for index in usable if index not in busy]
    if wanted and not service.get("useActiveGpu") and len(free) < wanted:
        return (
            f"{count} GPU(s), and with useActiveGpu: false a trial waits until other programs leave {wanted} of them "
            "alone; set useActiveGpu: true to share"
        )
    return f"{count} GPU(s) here, {wanted} a trial"


def _range(count: int) -> str:
    return "GPU 0 alone" if count == 1 else f"GPUs 0 to {count - 1}"


def _gpus() -> dict[str, Any]:
    """What NNI's own collector says, which the manager asks as well."""
    command = [sys.executable, "-W", "ignore", "-m", COLLECTOR]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COLLECTOR_SECONDS, check=False)
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        return {"failures": [f"{type(error).__name__} of {COLLECTOR}"]}
    return found if isinstance(found, dict) else {}
