"""An experiment of NNI and its trials, as the rest of the toolkit sees them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import printable

__all__ = ["ENDED", "Experiment", "Trial", "best_trial", "check_results", "is_experiment_id"]

ENDED = frozenset({"SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED", "STOPPED"})
"""Statuses of a trial from which nothing more will come."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_experiment_id(text: str) -> bool:
    """Whether NNI could name an experiment so; what leads out of its folder is no name."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Experiment:
    """One experiment of NNI.

    Attributes
    ----------
    id
        NNI's name of it, eight letters and digits.
    name
        ``experimentName`` of its YAML file.
    folder
        Where NNI keeps its records and its trials' files.
    port
        Port of its web UI and REST API, while it runs.
    running
        Whether its manager answers.
    """

    id: str
    name: str
    folder: Path
    port: int
    running: bool

    @property
    def address(self) -> str:
        """Host and port of the manager."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Address of the web UI."""
        return f"http://{self.address}"


@dataclass(frozen=True)
class Trial:
    """One trial of an experiment.

    Attributes
    ----------
    id, number
        NNI's name of it, and its number in the web UI.
    status
        ``WAITING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``USER_CANCELED`` …; ``STOPPED`` if the experiment ended
        while it ran.
    parameters
        What the tuner sampled.
    folder
        What the trial knows as ``NNI_OUTPUT_DIR``: its files and logs.
    intermediate
        Reported results in order.
    final
        The final result, or None; ``default`` is what the tuner maximises.
    started, ended
        Seconds since 1970, or None.
    """

    id: str
    number: int
    status: str
    parameters: dict[str, Any]
    folder: Path
    intermediate: tuple[dict[str, Any], ...] = ()
    final: dict[str, Any] | None = None
    started: float | None = field(default=None, repr=False)
    ended: float | None = field(default=None, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ENDED

    @property
    def score(self) -> float | None:
        """Final result that the tuner maximises, if there is a finite one."""
        return self.figure("default")

    def figure(self, name: str) -> float | None:
        """Finite number of that name in the final result, if there is one."""
        value = (self.final or {}).get(name)
        try:
            number = float(value) if isinstance(value, int | float) else math.nan
        except OverflowError:  # JSON's whole numbers have no limit
            return None
        return number if math.isfinite(number) else None

    def last_error(self) -> str:
        """Last line that the trial wrote to stderr: the message of its exception."""
        try:
            text = (self.folder / "trial.stderr").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return printable(lines[-1]) if lines else ""


def best_trial(trials: Iterable[Trial]) -> Trial | None:
    """Trial with the largest final result, the earlier one where two are equal; None if no trial has one."""
    scored = [(trial.score, -trial.number, trial) for trial in trials if trial.score is not None]
    return max(scored, key=lambda entry: entry[:2])[2] if scored else None


def check_results(
    trials: Sequence[Trial],
    say: Callable[[str], None],
    name: Callable[[Trial], str] = lambda trial: f"trial {trial.number}",
) -> None:
    """Say why trials have no result.

    Parameters
    ----------
    trials
        Trials of an experiment that has ended.
    say
        Called with a line for each trial without a result.
    name
        Name of a trial in these lines.

    Raises
    ------
    UserError
        No trial has a result.
    """
    without = [trial for trial in trials if trial.score is None]
    for trial in without:
        say(f"{name(trial)} has no result: {trial.last_error() or trial.status} (see {trial.folder})")
    if len(without) == len(trials):
        raise UserError("no trial ended with a result; the reasons are above")
