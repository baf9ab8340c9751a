"""Pre-flight checks of an experiment on this machine, with one-line results.

To add a check: a function of an experiment that returns a line or raises a UserError, and its entry in `CHECKS`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
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
from easrec_nni.experiments.file import TRIAL_MODULE, ExperimentFile
from easrec_nni.experiments.folder_size import measure_folder
from easrec_nni.experiments.gpu_checks import check_gpus
from easrec_nni.experiments.manager import manager_environment
from easrec_nni.experiments.records import nni_home
from easrec_nni.experiments.tuner_checks import check_space, check_tuner

__all__ = ["CHECKS", "Finding", "run_checks"]

LEAST_FREE_BYTES = 200_000_000  # records, logs and a trial's small files
MOST_CODE_FILES, MOST_CODE_BYTES = 2_000, 300 << 20  # NNI's own limits
OLDEST_GLIBC = (2, 28)
INTERPRETER_SECONDS = 60.0
_ASSIGNMENT = re.compile(r"\w+=")
_PYTHON_FILE = re.compile(r"[\w./+-]+\.py")
_PLAIN_WORD = re.compile(r"[\w./+-]+")  # without what a shell would replace


@dataclass(frozen=True)
class Finding:
    """One-line result of a check: the state found or, if `wrong`, the problem and its fix."""

    check: str
    text: str
    wrong: bool = False


def check_machine(experiment: ExperimentFile) -> str:
    """Check the machine type: NNI's wheel contains a Node.js built for x86-64 and glibc."""
    instead = "use another machine, or `easrec search`, which runs a trial without NNI's server"
    if platform.machine().lower() not in ("x86_64", "amd64"):
        raise UserError(f"NNI's server runs on x86-64 only and this machine is {platform.machine()}: {instead}")
    library, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if library != "glibc" or numbers < OLDEST_GLIBC:
        installed = f"{library} {version}".strip() or "another C library"
        raise UserError(f"NNI's server needs glibc 2.28 or newer and this machine has {installed}: {instead}")
    return f"x86-64, glibc {version}"


def check_nnictl(experiment: ExperimentFile) -> str:
    """Check for ``pkg_resources``, which ``nnictl`` imports and newer setuptools releases lack."""
    if importlib.util.find_spec("pkg_resources") is None:
        raise UserError(
            "nnictl cannot start: it needs pkg_resources, which setuptools 81 and newer lack; run "
            f"{sys.executable} -m pip install 'setuptools>=77.0.3,<81'"
        )
    return "setuptools has pkg_resources"


def check_disk(experiment: ExperimentFile) -> str:
    """Check free space for the trials' files, and write permissions."""
    trials = experiment.most_trials or experiment.concurrency
    needed = LEAST_FREE_BYTES + trials * state_bytes(experiment)
    for folder, least, of in (
        (experiment.working_directory, needed, f"{trials} trial(s) and NNI's records"),
        (nni_home(), LEAST_FREE_BYTES, "NNI's records"),
        (experiment.code_directory, LEAST_FREE_BYTES, "the trials' code directory"),
    ):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            raise UserError(f"{existing} is a file: set experimentWorkingDirectory to a folder")
        if folder != experiment.code_directory and not os.access(existing, os.W_OK):
            raise UserError(f"{existing} is not writable: set experimentWorkingDirectory to a writable folder")
        free = shutil.disk_usage(existing).free
        if free < least:
            raise UserError(
                f"{folder} has {readable_bytes(free)} free and {of} need {readable_bytes(least)}: make room, or set "
                "experimentWorkingDirectory to a folder on another disk"
            )
    return f"{experiment.working_directory}: {readable_bytes(needed)} required, enough space available"


def check_interpreter(experiment: ExperimentFile) -> str:
    """Check that the Python of ``trialCommand`` has this package, or that another command's program exists."""
    named = experiment.interpreter
    if named is None:
        return _check_other_command(experiment)
    if experiment.platform != "local":
        return f"trialCommand's {named} must be on the workers' PATH and have this package: not checked from here"
    _check_module(str(experiment.module))
    environment = manager_environment(expose=True)
    path = os.path.expanduser(os.path.expandvars(named))
    if "/" in path:
        path = str(experiment.code_directory / path)
    program = shutil.which(path, path=environment["PATH"])
    this_python = str(Path(sys.executable).with_name("python3"))
    if program is None:
        raise UserError(f"trialCommand names {named}, which does not exist: write python3, or {this_python}")
    if Path(program).parent != Path(sys.executable).parent and not _finds(
        program, "easrec_nni", experiment, environment
    ):
        raise UserError(
            f"trialCommand's {named} is {program}, which has no easrec_nni: write python3, which is {this_python} in a "
            "trial, or install the package there"
        )
    return f"trialCommand's {named} is {program}"


def _check_module(module: str) -> None:
    """Check that this package has the module that ``trialCommand`` runs."""
    if not re.fullmatch(r"\w+(\.\w+)+", module) or not _is_module(module):
        raise UserError(f"trialCommand names {module}, which does not exist: this package's trial is {TRIAL_MODULE}")


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of a folder in the name
        return False


def _check_other_command(experiment: ExperimentFile) -> str:
    """Check that the program of a command that is not this package's exists, and the module that it names."""
    words = [word for word in experiment.command_words if not _ASSIGNMENT.match(word)]
    if experiment.platform != "local" or not words or not _PLAIN_WORD.fullmatch(words[0]):
        return "trialCommand runs no module of this package: not checked"
    program, environment = words[0], manager_environment(expose=True)
    if not _succeeds(["sh", "-c", 'command -v -- "$1"', "sh", program], experiment, environment):
        raise UserError(
            f"trialCommand's {program} does not exist: write `python3 -m {TRIAL_MODULE} --settings FILE` for this "
            "package's trial, or a program on PATH or in trialCodeDirectory"
        )
    module = words[2] if len(words) > 2 and words[1] == "-m" else None
    if module is not None and not _finds(program, module, experiment, environment):
        raise UserError(
            f"trialCommand's {program} finds no module {module} from {experiment.code_directory}: this package's trial "
            f"is {TRIAL_MODULE}"
        )
    script = words[1] if len(words) > 1 and _PYTHON_FILE.fullmatch(words[1]) else None
    if script is not None and not (experiment.code_directory / script).is_file():
        raise UserError(
            f"trialCommand names {script}, which is not in {experiment.code_directory}: correct the path, or write "
            f"`python3 -m {TRIAL_MODULE} --settings FILE` for this package's trial"
        )
    return f"trialCommand runs {module or script or program}, which is not of this package"


def _finds(interpreter: str, module: str, experiment: ExperimentFile, environment: dict[str, str]) -> bool:
    """Whether a Python finds a module from the trials' code directory."""
    program = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
    return _succeeds([interpreter, "-c", program, module], experiment, environment)


def _succeeds(words: list[str], experiment: ExperimentFile, environment: dict[str, str]) -> bool:
    """Whether a command ends with 0 in the trials' code directory."""
    try:
        done = subprocess.run(
            words,
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
    """Check the size of the code directory, which NNI packs and copies for remote trials."""
    folder = experiment.code_directory
    size = measure_folder(folder)
    seen = f"{folder} has {size}"
    if size.files <= MOST_CODE_FILES and size.bytes <= MOST_CODE_BYTES:
        return seen
    limits = "2,000 files or 300 MB"
    if not experiment.copies_code:
        return f"{seen}; local trials start there without a copy (on other machines, NNI refuses more than {limits})"
    if (folder / ".nniignore").is_file():
        return f"{seen}; .nniignore must exclude enough of it: NNI refuses more than {limits}"
    raise UserError(
        f"trialCodeDirectory {seen} and NNI refuses more than {limits}; most is in {size.largest()}: move the "
        "experiment and its settings to a folder of their own, or list what is not needed in a file .nniignore there"
    )


def check_threads(experiment: ExperimentFile) -> str:
    """Describe how concurrent trials share the cores."""
    if experiment.platform != "local":
        return "a trial uses all cores of its machine, or as trialCommand says (OMP_NUM_THREADS=4 python3 …)"
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
"""Name and function of every check, in running order."""


def run_checks(experiment: ExperimentFile) -> list[Finding]:
    """Run every check, even after a failure, so that all problems are reported together."""
    findings = []
    for name, check in CHECKS:
        try:
            findings.append(Finding(name, check(experiment)))
        except UserError as error:
            findings.append(Finding(name, error.message, wrong=True))
    return findings
