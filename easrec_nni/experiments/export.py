"""Export of a trial's architecture from an NNI experiment or a file of its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.architecture.cost_kinds import COST_FIGURES, comparable_madds
from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_copy
from easrec_nni.common.run_files import ARCHITECTURE_FILE, SUPERNET_FILE
from easrec_nni.evaluation.judgement import KEPT, VERDICT_NUMBERS
from easrec_nni.evaluation.selection import SELECTED, name_in
from easrec_nni.experiments.experiment import Trial, best_trial
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.experiments.remote_files import fetch_file, trial_place
from easrec_nni.experiments.result_files import read_exported

__all__ = [
    "KEPT_BY_SELECTION",
    "Exported",
    "choose_trial",
    "compared_cost",
    "describe_score",
    "export_architecture",
    "trial_architecture",
    "trials_of",
]

KEPT_BY_SELECTION = f"{SELECTED}{KEPT}"
"""Verdict of a trial by the validation users, by which networks are chosen."""


@dataclass(frozen=True)
class Exported:
    """Result of an export.

    Attributes
    ----------
    trial
        Trial of the architecture.
    architecture
        The architecture.
    file, weights
        Files written; `weights` is None if not requested.
    rebuilt
        Whether the architecture comes from NNI's records because the trial's files are not on this machine.
    """

    trial: Trial
    architecture: Architecture
    file: Path
    weights: Path | None
    rebuilt: bool = False


def trials_of(source: str | Path) -> list[Trial]:
    """Trials of an experiment (running, stopped or finished) or of a results file.

    Parameters
    ----------
    source
        NNI's id of an experiment, or a file for :func:`~easrec_nni.experiments.result_files.read_exported`.

    Raises
    ------
    UserError
        There is no such experiment or file, or it cannot be read.
    """
    return read_exported(Path(source)) if Path(source).is_file() else list_trials(find_experiment(str(source)))


def choose_trial(trials: Sequence[Trial], trial_id: str | None = None, smallest: bool = False) -> Trial:
    """Choose a trial by its id or web UI number, or the best one.

    Parameters
    ----------
    trials
        Trials to choose from; without an id, a study's baselines are left out.
    trial_id
        Id or number; None for the best trial.
    smallest
        Whether to take the cheapest trial (:func:`compared_cost`) among those that keep the unpruned network's accuracy
        on the validation users (``judge.unpruned``; :mod:`easrec_nni.evaluation.judgement`). Where no trial was
        judged: among those within one standard error of the best final result (the one-standard-error rule, Breiman
        et al., "Classification and Regression Trees", 1984).

    Raises
    ------
    UserError
        The trial does not exist, no trial has a final result yet, or none of the judged ones keeps the accuracy.
    """
    if trial_id is None:
        best = best_trial([trial for trial in trials if not _is_baseline(trial)]) or best_trial(trials)
        if best is None:
            raise UserError(f"no trial has a final result yet: {_summary(trials)}")
        return _smallest(trials, best) if smallest else best
    named = [trial for trial in trials if trial_id in (trial.id, str(trial.number))]
    if len(named) > 1:  # NNI may restart the numbers when an experiment is resumed
        raise UserError(f"{len(named)} trials have the number {trial_id}; give the id of one: {_summary(named)}")
    if named:
        return named[0]
    raise UserError(f"the experiment has no trial {trial_id!r}: {_summary(trials)}")


def _is_baseline(trial: Trial) -> bool:
    """Whether a trial ran a study's baseline, which has no network to export."""
    return bool((trial.final or {}).get("system")) and trial.figure("madds_per_user") is None


def _smallest(trials: Sequence[Trial], best: Trial) -> Trial:
    """Cheapest trial that keeps the unpruned network's accuracy; by one standard error where none was judged."""
    comparable = [trial for trial in trials if trial.figure("feasible") == best.figure("feasible")]  # never trade it
    judged = [trial for trial in comparable if trial.figure(KEPT_BY_SELECTION) is not None]
    if judged:
        return _smallest_kept(judged)
    assert best.score is not None
    least = best.score - (best.figure("default_standard_error") or 0.0)
    return _cheapest([trial for trial in comparable if trial.score is not None and trial.score >= least]) or best


def _smallest_kept(judged: Sequence[Trial]) -> Trial:
    kept = VERDICT_NUMBERS["kept"]
    cheapest = _cheapest([trial for trial in judged if trial.figure(KEPT_BY_SELECTION) == kept])
    if cheapest is not None:
        return cheapest
    lost = sum(trial.figure(KEPT_BY_SELECTION) == VERDICT_NUMBERS["lost"] for trial in judged)
    margin = max(trial.figure(f"{SELECTED}margin") or 0.0 for trial in judged)
    needed = [number for trial in judged if (number := trial.figure(f"{SELECTED}users_needed")) is not None]
    users = f" (about {min(needed):,.0f} validation users would tell)" if needed else ""
    raise UserError(
        f"no trial's network was shown to keep the unpruned network's accuracy within {margin:.1%}: {lost} of "
        f"{len(judged)} lose more, of {len(judged) - lost} the validation users cannot tell{users}; --best takes the "
        "most accurate, and judge.margin sets the loss that you accept"
    )


def _cheapest(trials: Sequence[Trial]) -> Trial | None:
    figure = COST_FIGURES[compared_cost(trials)]
    costs = [(cost, trial.number, trial) for trial in trials if (cost := trial.figure(figure)) is not None]
    return min(costs, key=lambda entry: entry[:2])[2] if costs else None


def compared_cost(trials: Sequence[Trial], prefixes: Sequence[str] = ("",)) -> str:
    """Kind of cost that compares trials' networks: executed, or nominal where one of them lacks that.

    Parameters
    ----------
    trials
        Trials of which some have networks.
    prefixes
        Prefixes of the costs that a trial must have, such as ``unpruned_``.
    """
    networks = [trial for trial in trials if trial.figure(COST_FIGURES["nominal"]) is not None]
    rows = [
        {name: trial.figure(f"{prefix}{name}") for name in COST_FIGURES.values()}
        for trial in networks
        for prefix in prefixes
    ]
    return comparable_madds(rows)


def _summary(trials: Sequence[Trial]) -> str:
    if not trials:
        return "no trial has started"
    shown = [f"{trial.number} {trial.id} {trial.status}" for trial in trials[:20]]
    failed = next((trial for trial in trials if trial.status == "FAILED" and trial.last_error()), None)
    reason = f"; trial {failed.number} ended with: {failed.last_error()[:200]}" if failed else ""
    return ", ".join(shown) + (" …" if len(trials) > len(shown) else "") + reason


def trial_architecture(trial: Trial) -> tuple[Architecture, bool]:
    """Architecture of a trial, from its folder or final result; and whether from the latter.

    Raises
    ------
    UserError
        There is neither, or it is invalid.
    """
    file = trial.folder / ARCHITECTURE_FILE
    if file.is_file():
        return Architecture.read(file), False
    text = (trial.final or {}).get("architecture")
    if isinstance(text, str):
        return Architecture.parse(text, f"the architecture in NNI's records of trial {trial.number}"), True
    raise _missing(trial, ARCHITECTURE_FILE)


def describe_score(trial: Trial) -> str:
    """Score suffix for messages about a trial; empty until it has a result."""
    if trial.score is None:
        return ""
    ndcg = trial.figure(name_in(trial.final or {}, SELECTED))
    if ndcg is None or (trial.final or {}).get("objective") == "ndcg":
        return f", validation NDCG@10 {trial.score:.4f}"
    above = ", above the cost ceiling" if trial.figure("feasible") == 0 else ""
    return f", objective {trial.score:.4f}, validation NDCG@10 {ndcg:.4f}{above}"


def _missing(trial: Trial, name: str) -> UserError:
    place = trial_place(trial)
    if _is_baseline(trial):
        where = f"{str((trial.final or {})['system'])[:100]} is a baseline without a network; choose another --trial"
    elif place and not trial.folder.is_dir():
        where = f"its files stay on the machine that ran it: scp {place}/{name} ."
    elif not trial.folder.is_dir():
        where = "its folder is not on this machine (a remote training service, or deleted)"
        if trial.final is not None and name == ARCHITECTURE_FILE:
            where += ", and its final result holds no architecture, as those of this package's trials do"
    elif trial.status == "FAILED":
        where = f"it failed: {trial.last_error()[:200] or 'see trial.stderr'}"
    elif not trial.is_over:
        where = "its search has not finished yet"
    else:
        where = f"see {trial.folder}"
    return UserError(f"trial {trial.id} ({trial.status}) has no {name}: {where}")


def _take_weights(experiment: str | Path, trial: Trial, supernet: Path, target: Path) -> None:
    """Copy a trial's weights, from this machine or from the worker that ran it."""
    if supernet.is_file():
        atomic_copy(supernet, target)
    elif trial.folder.is_dir() or Path(experiment).is_file() or not trial_place(trial):
        raise _missing(trial, SUPERNET_FILE)
    else:
        fetch_file(find_experiment(str(experiment)), trial, SUPERNET_FILE, target)


def export_architecture(
    experiment: str | Path,
    out: str | Path,
    trial_id: str | None = None,
    weights: bool = False,
    smallest: bool = False,
) -> Exported:
    """Export the architecture of an experiment's trial (running, stopped or finished).

    If the trial's folder is not on this machine, the architecture is taken from its final result.

    Parameters
    ----------
    experiment
        NNI's id of the experiment, or a results file; see :func:`trials_of`.
    out
        JSON file to write.
    trial_id
        Id of the trial, or its number in the web UI; None for the best one.
    weights
        Whether to copy the supernet's weights beside `out`, with ``scp`` from a worker of the remote service.
    smallest
        Whether to take the smallest trial that keeps the accuracy; see :func:`choose_trial`.

    Raises
    ------
    UserError
        There is no such experiment, trial or file, or the architecture is invalid; nothing is written.
    """
    trial = choose_trial(trials_of(experiment), trial_id, smallest)
    architecture, rebuilt = trial_architecture(trial)
    supernet, target = trial.folder / SUPERNET_FILE, Path(out)
    if weights:  # first: without the weights, the JSON file would be half an export
        _take_weights(experiment, trial, supernet, target.with_name(SUPERNET_FILE))
    architecture.write(target)
    return Exported(trial, architecture, target, target.with_name(SUPERNET_FILE) if weights else None, rebuilt)
