"""Starting an experiment as a careful person would: look first, keep the door closed, say what to do next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from easrec_nni.common.errors import UserError
from easrec_nni.common.signals import signals_interrupt
from easrec_nni.experiments.checks import Finding, examine
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

RESUMED_SECONDS = 4.0  # in which a tuner that cannot start has died

__all__ = ["check", "launch", "launch_and_watch", "resume"]


def check(config: str | Path, console: Console, expose: bool = False) -> ExperimentFile:
    """Read an experiment's file and make every check, showing what each of them saw.

    Parameters
    ----------
    config
        YAML file of the experiment.
    console
        Where to show the findings.
    expose
        Whether other machines are to reach the manager.

    Raises
    ------
    UserError
        NNI refuses the file, or checks failed: one message for all of them, shown above one by one.
    """
    experiment = read_experiment(config)
    findings = [*examine(experiment), address_finding(experiment, expose)]
    for finding in findings:
        mark = "[red]✗[/]" if finding.wrong else "[green]✓[/]"
        console.print(f"{mark} {finding.check}: {escape(finding.text)}", highlight=False, soft_wrap=True)
    refuse(findings)
    return experiment


def refuse(findings: Sequence[Finding]) -> None:
    """Raise if something is wrong.

    Raises
    ------
    UserError
        With the first thing that is wrong, and the number of the others.
    """
    wrong = [finding for finding in findings if finding.wrong]
    if wrong:
        more = f" (and {len(wrong) - 1} more, see above)" if len(wrong) > 1 else ""
        raise UserError(f"{wrong[0].check}: {wrong[0].text}{more}")


def address_finding(experiment: ExperimentFile, expose: bool) -> Finding:
    """Who will reach the manager, and whether its workers are among them."""
    if not expose and experiment.connects_from_elsewhere:
        text = (
            f"the workers of trainingService {experiment.platform} connect to this machine, where the manager answers "
            "itself only: leave nniManagerIp out and hold a tunnel open (ssh -N -R PORT:localhost:PORT WORKER), or "
            "give --expose behind a firewall"
        )
        return Finding("addresses", text, wrong=True)
    if expose:
        text = "the web UI and its REST API will answer every machine that reaches this one, without a password"
    else:
        text = "the web UI and its REST API will answer this machine only (127.0.0.1)"
    if experiment.shows_passwords:
        text += "; the file holds a password, which the web UI shows: use sshKeyFile"
    return Finding("addresses", text)


def launch(config: str | Path, console: Console, port: int = DEFAULT_PORT, *, expose: bool = False) -> Experiment:
    """Check, start the experiment in the background and say how to look at it, stop it and take its result.

    Parameters
    ----------
    config, console, expose
        As of :func:`check`.
    port
        Wanted port of the web UI; the next free one is taken.

    Raises
    ------
    UserError
        As :func:`check`, NNI does not start it, or its manager or tuner ends before there is a trial.
    """
    check(config, console, expose)
    experiment = start_experiment(config, port, expose=expose, say=_sayer(console))
    _introduce(experiment, console, expose)
    with _stopped_on_failure(experiment):
        wait_for_first_trial(experiment)
    say = _sayer(console)
    say(f"how it goes:    {experiment.url}, or nnictl trial ls {experiment.id}")
    say(f"stop it:        nnictl stop {experiment.id}")
    say(f"go on with it:  easrec resume {experiment.id}")
    _say_what_follows(experiment, console)
    return experiment


def resume(experiment_id: str, console: Console, port: int = DEFAULT_PORT, *, expose: bool = False) -> Experiment:
    """Go on with an experiment in the background, as :func:`launch` begins one; nothing is checked again.

    Parameters
    ----------
    experiment_id
        NNI's id of an experiment that does not run.
    console, port, expose
        As of :func:`launch`.

    Raises
    ------
    UserError
        As :func:`~easrec_nni.experiments.manager.resume_experiment`.
    """
    began = time.time()
    experiment = resume_experiment(experiment_id, port, expose=expose, say=_sayer(console))
    _introduce(experiment, console, expose)
    with _stopped_on_failure(experiment):
        wait_for_first_trial(experiment, since=began, patience=RESUMED_SECONDS)
    _sayer(console)(f"stop it:        nnictl stop {experiment.id}")
    _say_what_follows(experiment, console)
    return experiment


def launch_and_watch(
    config: str | Path, console: Console, port: int = DEFAULT_PORT, *, expose: bool = False
) -> list[Trial]:
    """Check, start the experiment, show its trials until they have ended, and stop it; Ctrl-C stops everything.

    Parameters
    ----------
    config, console, port, expose
        As of :func:`launch`.

    Raises
    ------
    UserError
        As :func:`launch`, or the experiment ended early, or no trial has a result.
    KeyboardInterrupt
        It was interrupted; no process is left.
    """
    file = check(config, console, expose)
    with signals_interrupt(), running_experiment(config, port, expose=expose, say=_sayer(console)) as experiment:
        _introduce(experiment, console, expose)
        trials = watch(experiment, console, file.most_trials)
    say = _sayer(console)
    check_results(trials, say)
    say(f"look again:     nnictl view {experiment.id} --port {experiment.port}")
    _say_what_follows(experiment, console)
    return trials


def _sayer(console: Console) -> Callable[[str], None]:
    """Printer of lines as they are."""
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


def _introduce(experiment: Experiment, console: Console, expose: bool) -> None:
    _sayer(console)(f"experiment {experiment.id} runs, its web UI: {experiment.url}")
    if expose:
        console.print(
            f"[bold red]warning:[/] whoever reaches port {experiment.port} of this machine can read this experiment "
            "and start commands as you; let a firewall choose who does",
            highlight=False,
            soft_wrap=True,
        )


def _say_what_follows(experiment: Experiment, console: Console) -> None:
    say = _sayer(console)
    say(f"take a result:  easrec export --experiment {experiment.id} --out architecture.json --weights")
    say(f"draw it:        easrec show {experiment.id}")


@contextmanager
def _stopped_on_failure(experiment: Experiment) -> Iterator[None]:
    """Leave no manager behind that no trial will come of."""
    try:
        yield
    except BaseException:
        stop_experiment(experiment)
        raise
