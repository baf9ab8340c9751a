"""YAML file of an NNI experiment: loading, validation by NNI's classes, and its properties."""

from __future__ import annotations

import itertools
import logging
import os
import re
import shlex
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.common.yaml_files import read_yaml
from easrec_nni.settings.trial_command import read_trial_arguments

__all__ = ["ExperimentFile", "read_experiment"]

TRIAL_MODULE = "easrec_nni.trial"
LONGEST_QUOTE = 300
_PYTHON = re.compile(r"python[\d.]*")
_SHELL = re.compile(r"[|&;]|\d?[<>]")  # end of a program's arguments in a shell
_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


@dataclass(frozen=True)
class ExperimentFile:
    """An experiment file in NNI's canonical form.

    Attributes
    ----------
    path
        The YAML file.
    document
        Contents in NNI's canonical form: every field set, every path absolute.
    """

    path: Path
    document: dict[str, Any]

    @property
    def platform(self) -> str:
        """Training service: ``local``, ``remote``, ``kubeflow`` …; ``hybrid`` for a list."""
        service = self.document["trainingService"]
        return "hybrid" if isinstance(service, list) else str(service["platform"])

    @property
    def copies_code(self) -> bool:
        """Whether NNI packs and copies the code directory (and refuses a large one)."""
        service = self.document["trainingService"]
        return self.platform != "local" or bool(service.get("reuseMode"))

    @property
    def connects_from_elsewhere(self) -> bool:
        """Whether workers connect to the manager at an address other than this machine's loopback.

        Without an address, NNI's remote service gives ``localhost`` to its workers: they are on this machine, or at the
        other end of a tunnel.
        """
        service = self.document["trainingService"]
        if self.platform == "local":
            return False
        if self.platform != "remote" or service.get("reuseMode"):
            return True
        address = service.get("nniManagerIp") or "localhost"
        return _LOOPBACK.fullmatch(str(address)) is None

    @property
    def code_directory(self) -> Path:
        """Folder in which trials start, or whose copy they start in."""
        return Path(self.document["trialCodeDirectory"])

    @property
    def working_directory(self) -> Path:
        """Folder of NNI's records and the trials' files."""
        return Path(self.document["experimentWorkingDirectory"])

    @property
    def concurrency(self) -> int:
        """Number of trials at a time."""
        return int(self.document["trialConcurrency"])

    @property
    def most_trials(self) -> int | None:
        """Largest number of trials, or None."""
        return self.document.get("maxTrialNumber")

    @property
    def search_space(self) -> Any:
        """Search space, inline or from ``searchSpaceFile``; None if it is in the trials' code."""
        return self.document.get("searchSpace")

    @property
    def runs_this_package(self) -> bool:
        """Whether the trials run this package, and so report an NDCG."""
        return self.interpreter is not None

    @property
    def shows_passwords(self) -> bool:
        """Whether the file contains an SSH password, which the web UI displays."""
        services = self.document["trainingService"]
        machines = [
            machine
            for service in (services if isinstance(services, list) else [services])
            for machine in service.get("machineList") or []
        ]
        return any(machine.get("password") or machine.get("sshPassphrase") for machine in machines)

    @property
    def command_words(self) -> list[str]:
        """Words of ``trialCommand`` as a shell splits them; empty if they cannot be split."""
        try:
            return shlex.split(str(self.document.get("trialCommand") or ""))
        except ValueError:
            return []

    @property
    def module(self) -> str | None:
        """Module of this package that ``trialCommand`` runs by ``-m``; None for other commands."""
        pairs = itertools.pairwise(self.command_words)
        return next((word for option, word in pairs if option == "-m" and word.startswith("easrec_nni.")), None)

    @property
    def interpreter(self) -> str | None:
        """Python interpreter in ``trialCommand`` that runs this package; None for other commands."""
        if self.module is None:
            return None
        words = self.command_words
        named = [word for word in words[: words.index(self.module)] if _PYTHON.fullmatch(os.path.basename(word))]
        return named[-1] if named else None

    @property
    def trial_arguments(self) -> tuple[str, list[str]] | None:
        """Settings file and ``--set`` pairs in ``trialCommand``; None if it does not run this package's trial.

        Raises
        ------
        UserError
            The trial's program would refuse its arguments.
        """
        if self.module != TRIAL_MODULE:
            return None
        words = self.command_words
        rest = itertools.takewhile(lambda word: not _SHELL.match(word), words[words.index(TRIAL_MODULE) + 1 :])
        try:
            return read_trial_arguments(list(rest))
        except UserError as error:
            raise UserError(f"trialCommand: {error.message}") from None

    @property
    def settings_file(self) -> Path | None:
        """Settings file in ``trialCommand``; None if it does not run this package's trial."""
        arguments = self.trial_arguments
        return None if arguments is None else self.code_directory / arguments[0]

    @property
    def settings_changes(self) -> list[str]:
        """``KEY=VALUE`` of every ``--set`` in ``trialCommand``."""
        arguments = self.trial_arguments
        return [] if arguments is None else arguments[1]


def read_experiment(path: str | Path) -> ExperimentFile:
    """Read an experiment file and validate it with NNI's own classes.

    Raises
    ------
    UserError
        The file is missing or not valid YAML, or NNI refuses a key or value.
    """
    file = Path(path).absolute()
    document = read_yaml(path, "experiment file", "`easrec init` writes examples", "trialConcurrency: 1")
    if "trainingServicePlatform" in document:
        raise UserError(
            f"{path} has the format of NNI 1: `nnictl create --config {path}` prints it in the current one; save that"
        )
    names = {str(key).replace("_", "").lower() for key in document}  # NNI takes search_space for searchSpace
    if {"searchspace", "searchspacefile"} <= names:
        raise UserError(f"{path} has a searchSpace and a searchSpaceFile, and NNI would take the file: leave one out")
    return ExperimentFile(file, _canonical(file, path))


def _canonical(file: Path, shown: str | Path) -> dict[str, Any]:
    from nni.experiment.config import ExperimentConfig, utils  # slow; `easrec resume` reads no file and needs no NNI

    # Silence NNI's two warnings: the one about addresses is wrong here, the one about passwords is given elsewhere.
    try:
        with warnings.catch_warnings(), _at_level(logging.getLogger("nni.experiment.config"), logging.ERROR):
            warnings.simplefilter("ignore")
            document = dict(ExperimentConfig.load(file).json())
            _check_algorithms(document)
    except Exception as error:  # NNI's validation raises any exception, bare asserts included
        raise UserError(f"NNI refuses {shown}: {_reason(error)}") from None
    finally:
        utils.unset_base_path()  # after a failed load NNI leaves it set, and then refuses every other file
    return document


@contextmanager
def _at_level(logger: logging.Logger, level: int) -> Iterator[None]:
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def _check_algorithms(document: dict[str, Any]) -> None:
    """Refuse an unknown tuner or assessor, with which NNI's manager would start and fail later."""
    from nni.tools.package_utils import config_manager  # as in _canonical

    for role in ("tuner", "assessor"):
        name = (document.get(role) or {}).get("name")
        if name is not None and config_manager.get_algo_meta(name) is None:
            names = [meta.name for meta in config_manager.get_all_algo_meta() if meta.algo_type == role]
            raise ValueError(f"{role}.name: there is no {role} {name!r}; {did_you_mean(str(name), sorted(names))}")


def _reason(error: Exception) -> str:
    """Reason of NNI's refusal in one line, reworded where NNI's message is unclear."""
    reason = " ".join(str(error).split())
    if "attribute 'platform'" in reason:
        return "trainingService must name a platform that NNI knows, such as `trainingService: {platform: local}`"
    if "could not convert string to float" in reason:
        return f"{reason}: write durations in seconds, or with s, m, h or d, such as maxExperimentDuration: 30m"
    line = traceback.extract_tb(error.__traceback__)[-1].line or ""
    if not reason and line.startswith("assert "):
        return f"it requires {line.removeprefix('assert ').replace('self.', '')}"
    return reason[:LONGEST_QUOTE] or type(error).__name__
