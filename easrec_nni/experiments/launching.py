"""Start an NNI experiment safely: pre-flight checks, loopback only, next steps printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from easrec_nni.common.errors import UserError
from easrec_nni.common.signals import signals_interrupt
from easrec_nni.experiments.checks import Finding, run_checks
from easrec_nni.experiments.experiment import Experiment, Trial, check_results
from easrec_nni.experiments.file import ExperimentFile, read_experiment
from easrec_nni.experiments.manager import (
    DEFAULT_PORT,
    resume_experiment,
    running_experiment,
    start_experiment,
    stop_experiment,
)
from easrec_nni.experiments.watching import wait_for_first_trial, watch

RESUMED_SECONDS = 4.0  # time in which a tuner that cannot start dies

__all__ = ["check", "launch", "launch_and_watch", "resume"]


def check(config: str | Path, console: Console, expose: bool = False) -> ExperimentFile:
    """Read an experiment file, run every check and print the findings.

    Parameters
    ----------
    config
        YAML file of the experiment.
    console
        Console for the findings.
    expose
        Whether other machines may reach the manager.

    Raises
    ------
    UserError
        NNI refuses the file, or a check failed; the message names the first failure.
    """
    experiment = read_experiment(config)
    findings = [*run_checks(experiment), address_finding(experiment, expose)]
    for finding in findings:
        mark = "[red]✗[/]" if finding.wrong else "[green]✓[/]"
        console.print(f"{mark} {finding.check}: {escape(finding.text)}", highlight=False, soft_wrap=True)
    raise_first_failure(findings)
    return experiment


def raise_first_failure(findings: Sequence[Finding]) -> None:
    """Raise an error if a check failed.

    Raises
    ------
    UserError
        A check failed; the message has the first problem and the number of others.
    """
    wrong = [finding for finding in findings if finding.wrong]
    if wrong:
        more = f" (and {len(wrong) - 1} more, see above)" if len(wrong) > 1 else ""
        raise UserError(f"{wrong[0].check}: {wrong[0].text}{more}")


def address_finding(experiment: ExperimentFile, expose: bool) -> Finding:
    """Finding on who can reach the manager, and whether its workers can."""
    if not expose and experiment.connects_from_elsewhere:
        text = (
            f"the workers of trainingService {experiment.platform} connect to the manager, which answers this machine "
            "only: leave nniManagerIp out and keep a tunnel open (ssh -N -R PORT:localhost:PORT WORKER), or pass "
            "--expose behind a firewall"
        )
        return Finding("addresses", text, wrong=True)
    if expose:
        text = "the web UI and its REST API will answer every machine that reaches this one, without a password"
    else:
        text = "the web UI and its REST API will answer this machine only (127.0.0.1)"
    if experiment.shows_passwords:
        text += "; the file contains a password, which the web UI shows: use sshKeyFile"
    return Finding("addresses", text)


def launch(config: str | Path, console: Console, port: int = DEFAULT_PORT, *, expose: bool = False) -> Experiment:
    """Check an experiment, start it in the background and print the next steps.

    Parameters
    ----------
    config, console, expose
        Arguments of :func:`check`.
    port
        Preferred port of the web UI; the next free one is used.

    Raises
    ------
    UserError
        A check failed, NNI does not start the experiment, or its manager or tuner ends before the first trial.
    """
    check(config, console, expose)
    experiment = start_experiment(config, port, expose=expose, say=_line_printer(console))
    _print_start(experiment, console, expose)
    with _stopped_on_failure(experiment):
        wait_for_first_trial(experiment)
    say = _line_printer(console)
    say(f"progress:       {experiment.url}, or nnictl trial ls {experiment.id}")
    say(f"stop:           nnictl stop {experiment.id}")
    say(f"resume:         easrec resume {experiment.id}")
    _print_next_steps(experiment, console)
    return experiment


def resume(experiment_id: str, console: Console, port: int = DEFAULT_PORT, *, expose: bool = False) -> Experiment:
    """Resume an experiment in the background, without checking it again.

    Parameters
    ----------
    experiment_id
        NNI's id of an experiment that is not running.
    console, port, expose
        Arguments of :func:`launch`.

    Raises
    ------
    UserError
        :func:`~easrec_nni.experiments.manager.resume_experiment` fails, or the manager or tuner ends.
    """
    start = time.time()
    experiment = resume_experiment(experiment_id, port, expose=expose, say=_line_printer(console))
    _print_start(experiment, console, expose)
    with _stopped_on_failure(experiment):
        wait_for_first_trial(experiment, since=start, patience=RESUMED_SECONDS)
    _line_printer(console)(f"stop:           nnictl stop {experiment.id}")
    _print_next_steps(experiment, console)
    return experiment


def launch_and_watch(
    config: str | Path, console: Console, port: int = DEFAULT_PORT, *, expose: bool = False
) -> list[Trial]:
    """Check and start an experiment, watch its trials to the end, and stop it.

    Parameters
    ----------
    config, console, port, expose
        Arguments of :func:`launch`.

    Raises
    ------
    UserError
        :func:`launch` would fail, the experiment ended early, or no trial has a result.
    KeyboardInterrupt
        The user interrupted it; no process is left.
    """
    file = check(config, console, expose)
    with signals_interrupt(), running_experiment(config, port, expose=expose, say=_line_printer(console)) as experiment:
        _print_start(experiment, console, expose)
        trials = watch(experiment, console, file.most_trials)
    say = _line_printer(console)
    check_results(trials, say)
    say(f"view again:     nnictl view {experiment.id} --port {experiment.port}")
    _print_next_steps(experiment, console)
    return trials


def _line_printer(console: Console) -> Callable[[str], None]:
    """Function that prints a line verbatim."""
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_start(experiment: Experiment, console: Console, expose: bool) -> None:
    _line_printer(console)(f"experiment {experiment.id} runs, its web UI: {experiment.url}")
    if expose:
        console.print(
            f"[bold red]warning:[/] anyone who reaches port {experiment.port} of this machine can read this experiment "
            "and run commands as you; restrict access with a firewall",
            highlight=False,
            soft_wrap=True,
        )


def _print_next_steps(experiment: Experiment, console: Console) -> None:
    say = _line_printer(console)
    say(f"export:         easrec export --experiment {experiment.id} --out architecture.json --weights")
    say(f"show:           easrec show {experiment.id}")


@contextmanager
def _stopped_on_failure(experiment: Experiment) -> Iterator[None]:
    """Stop the experiment if the block fails, so that no useless manager stays behind."""
    try:
        yield
    except BaseException:
        stop_experiment(experiment)
        raise
