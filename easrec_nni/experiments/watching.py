"""Terminal view of an experiment until its trials end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from easrec_nni.architecture.cost_kinds import COST_FIGURES
from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import readable_seconds
from easrec_nni.evaluation.selection import COMPARED, MONITOR, SELECTED, name_in
from easrec_nni.experiments.experiment import Experiment, Trial
from easrec_nni.experiments.export import compared_cost
from easrec_nni.experiments.logs import last_log_line, manager_failure, tuner_failure
from easrec_nni.experiments.manager import ExperimentStatus, experiment_status
from easrec_nni.experiments.processes import tuner_is_alive
from easrec_nni.experiments.records import list_trials

__all__ = ["NO_TRIAL_SECONDS", "trials_table", "wait_for_first_trial", "watch"]

POLL_SECONDS = 1.0
# The manager does not answer while it starts a trial on a busy machine: one missed poll does not mean that it is gone.
MISSED_POLLS = 10
NO_TRIAL_SECONDS = 60.0
POLLS_PER_PROCESS_SCAN = 5  # scanning this machine's processes for the tuner is slow

_COLOURS = {"SUCCEEDED": "green", "RUNNING": "cyan", "FAILED": "red", "STOPPED": "red"}


def _parameters(trial: Trial) -> str:
    names = {"lambda": "λ"}
    return ", ".join(f"{names.get(name, name)} {value}" for name, value in trial.parameters.items())


def _progress(trial: Trial) -> str:
    """Phase of the newest report and its number of epochs; for a failed trial, its error."""
    if trial.status == "FAILED":
        return trial.last_error()[:80]
    if trial.is_over or not trial.intermediate:
        return ""
    phase = str(trial.intermediate[-1].get("phase", ""))
    # A retraining's first report, of epoch -1, is of its initial network.
    reports = [report for report in trial.intermediate if str(report.get("phase", "")) == phase]
    epochs = sum(report.get("epoch") != -1 for report in reports)
    return f"{phase} epoch {epochs}".strip()


def _score(trial: Trial) -> str:
    """Final NDCG, or the newest in parentheses; ``default`` of trials without an NDCG."""
    if trial.score is not None:
        ndcg = trial.figure(name_in(trial.final or {}, SELECTED))
        return f"{trial.score if ndcg is None else ndcg:.4f}"
    newest = trial.intermediate[-1] if trial.intermediate else {}
    phase = newest.get(str(newest.get("phase")), newest.get(MONITOR, newest.get("default")))  # by its curve
    value = newest.get(name_in(newest, COMPARED), phase)
    return f"({value:.4f})" if isinstance(value, int | float) else ""


def _cost(trial: Trial, figure: str) -> str:
    """Multiply-adds of a finished trial's network, in millions."""
    value = (trial.final or {}).get(figure)
    return f"{value / 1e6:.2f} M" if isinstance(value, int | float) else ""


def _duration(trial: Trial) -> str:
    if trial.started is None:
        return ""
    return readable_seconds((trial.ended or time.time()) - trial.started)


def trials_table(trials: Sequence[Trial]) -> Table:
    """Table of trials: parameters, status, phase, score."""
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for title in ("trial", "parameters", "status", "now"):
        table.add_column(title)
    kind = compared_cost(trials)
    for title in ("NDCG@10 valid", "multiply-adds" if kind == "nominal" else "multiply-adds executed", "time"):
        table.add_column(title, justify="right")
    for trial in trials:
        status = Text(trial.status.lower(), style=_COLOURS.get(trial.status, ""))
        cells = (
            _parameters(trial),
            status,
            Text(_progress(trial)),
            _score(trial),
            _cost(trial, COST_FIGURES[kind]),
            _duration(trial),
        )
        table.add_row(str(trial.number), *cells)
    return table


def _live_view(trials: Sequence[Trial], expected: int | None, url: str) -> RenderableType:
    ended = sum(trial.is_over for trial in trials)
    of = f" of {expected}" if expected else ""
    return Group(Spinner("dots", Text(f"{ended}{of} trials ended; web UI: {url}")), trials_table(trials))


def _report_changes(console: Console) -> Callable[[Sequence[Trial]], None]:
    """Function that prints a line whenever a trial's status or phase changes."""
    seen: dict[str, tuple[str, str]] = {}

    def report(trials: Sequence[Trial]) -> None:
        for trial in trials:
            phase = str(trial.intermediate[-1].get("phase", "")) if trial.intermediate else ""
            state = (trial.status, "" if trial.is_over else phase)
            if seen.get(trial.id) != state:
                seen[trial.id] = state
                parts = [f"trial {trial.number}", _parameters(trial), trial.status.lower(), state[1], _score(trial)]
                parts += [trial.last_error()] if trial.status == "FAILED" else []
                console.print(" · ".join(filter(None, parts)), markup=False, highlight=False, soft_wrap=True)

    return report


def watch(experiment: Experiment, console: Console, expected: int | None = None) -> list[Trial]:
    """Show the trials of an experiment until all have ended.

    Parameters
    ----------
    experiment
        A running experiment.
    console
        Console for the output: a live table in a terminal, else a line for each change.
    expected
        Expected number of trials, for display.

    Returns
    -------
    list of Trial
        All trials.

    Raises
    ------
    UserError
        The manager or the tuner failed, died or was stopped by another program, or no trial came within a minute.
    """
    if not console.is_terminal:
        return _poll(experiment, _report_changes(console))
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        trials = _poll(experiment, lambda seen: live.update(_live_view(seen, expected, experiment.url)))
    console.print(trials_table(trials))
    return trials


def _poll(experiment: Experiment, show: Callable[[Sequence[Trial]], None]) -> list[Trial]:
    """Poll an experiment until its trials have ended; return them."""
    silent = unread = 0
    health = _Health(experiment)
    while True:
        status = experiment_status(experiment)
        silent = silent + 1 if status.name == "STOPPED" else 0
        if not silent:
            try:
                trials = list_trials(experiment)
            except UserError:  # the manager is too busy to answer, and has its records locked
                unread += 1
                if unread > MISSED_POLLS:
                    raise
            else:
                unread = 0
                show(trials)
                if status.name == "DONE":
                    return trials
                health.check(status, len(trials))
        if status.name in ("ERROR", "STOPPING") or silent > MISSED_POLLS:
            raise UserError(_failure(experiment, status))
        time.sleep(POLL_SECONDS)


def wait_for_first_trial(experiment: Experiment, since: float = 0.0, patience: float = NO_TRIAL_SECONDS) -> None:
    """Wait until a started experiment has a trial or is done.

    Parameters
    ----------
    experiment
        A running experiment.
    since
        Unix time in seconds of its start or resumption; older log entries do not count.
    patience
        Seconds after which a resumed experiment, which may have no more trials to come, counts as running.

    Raises
    ------
    UserError
        The manager or the tuner ended, or there is no trial within :data:`NO_TRIAL_SECONDS`; with the reason.
    """
    silent = 0
    health = _Health(experiment, since)
    deadline = time.monotonic() + patience
    while patience >= NO_TRIAL_SECONDS or time.monotonic() < deadline:
        status = experiment_status(experiment)
        silent = silent + 1 if status.name == "STOPPED" else 0
        if status.name in ("ERROR", "STOPPING") or silent > MISSED_POLLS:
            raise UserError(_failure(experiment, status, since))
        if not silent:
            try:
                trials = list_trials(experiment)
            except UserError:  # too busy to answer
                trials = []
            health.check(status, len(trials))
            if status.name == "DONE" or (trials and since == 0.0):
                return
        time.sleep(POLL_SECONDS)


class _Health:
    """Health check for failures that NNI's manager does not report: a dead tuner, or no trials.

    Parameters
    ----------
    experiment
        A running experiment.
    since
        Unix time in seconds; older log entries do not count.
    """

    def __init__(self, experiment: Experiment, since: float = 0.0) -> None:
        self.experiment, self.since = experiment, since
        self.start = time.monotonic()
        self.polls = self.missing = 0

    def check(self, status: ExperimentStatus, trials: int) -> None:
        """Raise an error if the experiment cannot continue.

        Raises
        ------
        UserError
            The experiment cannot continue; the message has the reason and the folder of its logs.
        """
        folder = self.experiment.folder
        reason = tuner_failure(folder, self.since)
        if not reason and status.name not in ("DONE", "STOPPING", "STOPPED") and self._is_missing():
            reason = "its tuner is gone, killed or out of memory"
        waited = time.monotonic() - self.start
        if not reason and not trials and waited > NO_TRIAL_SECONDS:
            why = manager_failure(folder, self.since) or f"the tuner draws none, and {last_log_line(folder)}"
            reason = f"there is no trial after {waited:.0f} s: {why}"
        if reason:
            raise UserError(f"experiment {self.experiment.id} cannot continue: {reason}; see {folder / 'log'}")

    def _is_missing(self) -> bool:
        """Whether the tuner's process was missing in the last two scans of all processes."""
        self.polls += 1
        if self.polls % POLLS_PER_PROCESS_SCAN == 0:
            self.missing = 0 if tuner_is_alive(self.experiment.id) else self.missing + 1
        return self.missing >= 2


def _failure(experiment: Experiment, status: ExperimentStatus, since: float = 0.0) -> str:
    reason = "; ".join(status.errors) or manager_failure(experiment.folder, since) or "its manager was stopped"
    return f"experiment {experiment.id} ended early: {reason}; see {experiment.folder / 'log'}"
