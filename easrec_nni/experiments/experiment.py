"""An NNI experiment and its trials, as the rest of the toolkit sees them."""

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
"""Final statuses of a trial."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_experiment_id(text: str) -> bool:
    """Whether a text can be NNI's id of an experiment or trial, and is safe within a path."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Experiment:
    """An NNI experiment.

    Attributes
    ----------
    id
        NNI's id, eight letters and digits.
    name
        ``experimentName`` of the YAML file.
    folder
        Folder of NNI's records and the trials' files.
    port
        Port of the web UI and REST API while the experiment runs.
    running
        Whether the manager answers.
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
    """A trial of an experiment.

    Attributes
    ----------
    id, number
        NNI's id, and the number in the web UI.
    status
        ``WAITING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``USER_CANCELED`` …; ``STOPPED`` if the experiment ended
        while the trial ran.
    parameters
        Hyper-parameters that the tuner sampled.
    folder
        Folder of the trial's files and logs (``NNI_OUTPUT_DIR``).
    intermediate
        Reported results in order.
    final
        The final result, or None; the tuner maximises its ``default``.
    started, ended
        Unix time in seconds, or None.
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
        """Whether the trial has ended."""
        return self.status in ENDED

    @property
    def score(self) -> float | None:
        """Finite ``default`` of the final result, which the tuner maximises, or None."""
        return self.figure("default")

    def figure(self, name: str) -> float | None:
        """Finite number with a name in the final result, or None."""
        value = (self.final or {}).get(name)
        try:
            number = float(value) if isinstance(value, int | float) else math.nan
        except OverflowError:  # JSON integers have no limit
            return None
        return number if math.isfinite(number) else None

    def last_error(self) -> str:
        """Last line of the trial's stderr: the message of its exception."""
        try:
            text = (self.folder / "trial.stderr").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return printable(lines[-1]) if lines else ""


def best_trial(trials: Iterable[Trial]) -> Trial | None:
    """Trial with the largest score, the first of equals; None if no trial has one."""
    scored = [(trial.score, -trial.number, trial) for trial in trials if trial.score is not None]
    return max(scored, key=lambda entry: entry[:2])[2] if scored else None


def check_results(
    trials: Sequence[Trial],
    say: Callable[[str], None],
    name: Callable[[Trial], str] = lambda trial: f"trial {trial.number}",
) -> None:
    """Report the reason for every trial without a result.

    Parameters
    ----------
    trials
        Trials of an experiment that has ended.
    say
        Called with a line for each trial without a result.
    name
        Function that names a trial in these lines.

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
