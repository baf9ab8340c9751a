"""What an experiment needs of its machine, looked at before NNI starts: each check says what is wrong in one line.

To add a check, write a function of an experiment that returns what it saw or raises a UserError, and one line in
`CHECKS`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import readable_bytes
from easrec_nni.common.threads import available_cores
from easrec_nni.experiments.data_checks import check_settings_and_data, state_bytes
from easrec_nni.experiments.file import ExperimentFile
from easrec_nni.experiments.folder_size import measure_folder
from easrec_nni.experiments.gpu_checks import check_gpus
from easrec_nni.experiments.manager import manager_environment
from easrec_nni.experiments.records import nni_home
from easrec_nni.experiments.tuner_checks import check_space, check_tuner

__all__ = ["CHECKS", "Finding", "examine"]

LEAST_FREE_BYTES = 200_000_000  # records, logs and a trial's small files
MOST_CODE_FILES, MOST_CODE_BYTES = 2_000, 300 << 20  # NNI's own limits
OLDEST_GLIBC = (2, 28)
INTERPRETER_SECONDS = 60.0


@dataclass(frozen=True)
class Finding:
    """What a check saw: a line of what is well or, where `wrong`, of what is not and how to put it right."""

    check: str
    text: str
    wrong: bool = False


def check_machine(experiment: ExperimentFile) -> str:
    """NNI's wheel holds a node of its own, built for one kind of machine."""
    instead = "use another machine, or `easrec search`, which runs a trial without NNI's server"
    if platform.machine().lower() not in ("x86_64", "amd64"):
        raise UserError(f"NNI's server runs on x86-64 only and this machine is {platform.machine()}: {instead}")
    library, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if library != "glibc" or numbers < OLDEST_GLIBC:
        found = f"{library} {version}".strip() or "another C library"
        raise UserError(f"NNI's server needs glibc 2.28 or newer and this machine has {found}: {instead}")
    return f"x86-64, glibc {version}"


def check_nnictl(experiment: ExperimentFile) -> str:
    """``nnictl`` imports ``pkg_resources``, which newer releases of setuptools no longer have."""
    if importlib.util.find_spec("pkg_resources") is None:
        raise UserError(
            "nnictl cannot start: it imports pkg_resources, which setuptools 81 no longer has and which may be missing "
            f"altogether: {sys.executable} -m pip install 'setuptools>=77.0.3,<81'"
        )
    return "setuptools has pkg_resources"


def check_disk(experiment: ExperimentFile) -> str:
    """Room for what the trials write, and folders that can be written to."""
    trials = experiment.most_trials or experiment.concurrency
    needed = LEAST_FREE_BYTES + trials * state_bytes(experiment)
    for folder, least, of in (
        (experiment.working_directory, needed, f"{trials} trial(s) and NNI's records"),
        (nni_home(), LEAST_FREE_BYTES, "NNI's records"),
        (experiment.code_directory, LEAST_FREE_BYTES, "the trials' code directory"),
    ):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        if folder != experiment.code_directory and not os.access(there, os.W_OK):
            raise UserError(f"{there} cannot be written to: set experimentWorkingDirectory to a folder that can")
        free = shutil.disk_usage(there).free
        if free < least:
            raise UserError(
                f"{folder} has {readable_bytes(free)} free and {of} need {readable_bytes(least)}: make room, or set "
                "experimentWorkingDirectory to a folder on another disk"
            )
    return f"{readable_bytes(needed)} needed in {experiment.working_directory}, which has more"


def check_interpreter(experiment: ExperimentFile) -> str:
    """The Python that ``trialCommand`` names must have this package."""
    named = experiment.interpreter
    if named is None:
        return "trialCommand runs no module of this package: not checked"
    if experiment.platform != "local":
        return f"trialCommand's {named} must be on the workers' PATH and have this package: not checked from here"
    environment = manager_environment(expose=True)
    path = os.path.expanduser(os.path.expandvars(named))
    if "/" in path:
        path = str(experiment.code_directory / path)
    found = shutil.which(path, path=environment["PATH"])
    own = str(Path(sys.executable).with_name("python3"))
    if found is None:
        raise UserError(f"trialCommand names {named}, which is not there: write python3, or {own}")
    if Path(found).parent != Path(sys.executable).parent and not _has_package(found, experiment, environment):
        raise UserError(
            f"trialCommand's {named} is {found}, which has no easrec_nni: write python3, which is {own} in a trial, or "
            "install the package there"
        )
    return f"trialCommand's {named} is {found}"


def _has_package(interpreter: str, experiment: ExperimentFile, environment: dict[str, str]) -> bool:
    """Whether a Python finds this package from where trials start; nothing of the package is run."""
    program = "import importlib.util, sys; sys.exit(importlib.util.find_spec('easrec_nni') is None)"
    try:
        done = subprocess.run(
            [interpreter, "-c", program],
            cwd=experiment.code_directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=INTERPRETER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def check_code_directory(experiment: ExperimentFile) -> str:
    """Size of what NNI packs up for other machines; local trials start in the folder as it is."""
    folder = experiment.code_directory
    size = measure_folder(folder)
    seen = f"{folder} has {size}"
    if size.files <= MOST_CODE_FILES and size.bytes <= MOST_CODE_BYTES:
        return seen
    limits = "2,000 files or 300 MB"
    if not experiment.copies_code:
        return f"{seen}; trials start there and nothing is copied, for other machines NNI refuses more than {limits}"
    if (folder / ".nniignore").is_file():
        return f"{seen}, of which .nniignore must leave enough out: NNI refuses more than {limits}"
    raise UserError(
        f"trialCodeDirectory {seen} and NNI refuses more than {limits}; most is in {size.largest()}: put the "
        "experiment and its settings into a folder of their own, or name what is not needed in a file .nniignore there"
    )


def check_threads(experiment: ExperimentFile) -> str:
    """How the cores are divided among the trials, which each of them asks the manager for."""
    if experiment.platform != "local":
        return "a trial uses all cores of its machine, or as many as trialCommand says (OMP_NUM_THREADS=4 python3 …)"
    cores, at_once = available_cores(), experiment.concurrency
    if at_once > cores:
        return f"{at_once} trials at a time share {cores} core(s), one thread each: trialConcurrency {cores} is as fast"
    return f"{at_once} trial(s) at a time, {cores // at_once} of {cores} core(s) each"


CHECKS: tuple[tuple[str, Callable[[ExperimentFile], str]], ...] = (
    ("machine", check_machine),
    ("nnictl", check_nnictl),
    ("interpreter", check_interpreter),
    ("search space", check_space),
    ("tuner", check_tuner),
    ("settings and data", check_settings_and_data),
    ("GPUs", check_gpus),
    ("code directory", check_code_directory),
    ("disk", check_disk),
    ("threads", check_threads),
)
"""Name and function of every check, in the order in which they are made."""


def examine(experiment: ExperimentFile) -> list[Finding]:
    """Make every check, also after one has failed, so that all that is wrong can be put right at once."""
    findings = []
    for name, check in CHECKS:
        try:
            findings.append(Finding(name, check(experiment)))
        except UserError as error:
            findings.append(Finding(name, error.message, wrong=True))
    return findings
