"""Taking a searched architecture out of an NNI experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.architecture import Architecture
from easrec_nni.errors import UserError
from easrec_nni.files import copy_whole
from easrec_nni.nni_records import Trial, best_trial, find_experiment, list_trials

__all__ = ["ARCHITECTURE_FILE", "WEIGHTS_FILE", "Exported", "choose_trial", "export_architecture"]

ARCHITECTURE_FILE = "architecture.json"
WEIGHTS_FILE = "supernet.safetensors"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    trial
        Trial that the architecture is of.
    architecture
        The architecture.
    file, weights
        The files; `weights` is None if they were not asked for.
    """

    trial: Trial
    architecture: Architecture
    file: Path
    weights: Path | None


def choose_trial(trials: Sequence[Trial], trial_id: str | None = None, smallest: bool = False) -> Trial:
    """Trial by id or number in the web UI; without one, the best.

    Parameters
    ----------
    trials
        To choose from.
    trial_id
        Id or number.
    smallest
        Take the trial with the fewest multiply-adds among those whose final result is within one standard error of the
        best one: smaller differences are noise (the one-standard-error rule, Breiman et al., "Classification and
        Regression Trees", 1984).

    Raises
    ------
    UserError
        There is no such trial, or none has a final result yet.
    """
    if trial_id is None:
        best = best_trial(trials)
        if best is None:
            raise UserError(f"no trial has a final result yet: {_summary(trials)}")
        return _smallest_as_good(trials, best) if smallest else best
    for trial in trials:
        if trial.id == trial_id or str(trial.number) == trial_id:
            return trial
    raise UserError(f"the experiment has no trial {trial_id!r}: {_summary(trials)}")


def _smallest_as_good(trials: Sequence[Trial], best: Trial) -> Trial:
    assert best.score is not None and best.final is not None
    least = best.score - float(best.final.get("default_standard_error", 0.0))
    as_good = [
        trial
        for trial in trials
        if trial.score is not None and trial.score >= least and "madds_per_user" in (trial.final or {})
    ]
    return min(as_good, key=lambda trial: (trial.final or {})["madds_per_user"], default=best)


def _summary(trials: Sequence[Trial]) -> str:
    if not trials:
        return "no trial has begun"
    shown = [f"{trial.number} {trial.id} {trial.status}" for trial in trials[:20]]
    failed = next((trial for trial in trials if trial.status == "FAILED" and trial.last_error()), None)
    reason = f"; trial {failed.number} ended with: {failed.last_error()[:200]}" if failed else ""
    return ", ".join(shown) + (" …" if len(trials) > len(shown) else "") + reason


def _missing(trial: Trial, name: str) -> UserError:
    if not trial.folder.is_dir():
        where = "its folder is not on this machine (a remote training service, or deleted)"
    elif trial.status == "FAILED":
        where = f"it failed: {trial.last_error()[:200] or 'see trial.stderr'}"
    elif not trial.is_over:
        where = "it has not searched to the end yet"
    else:
        where = f"look into {trial.folder}"
    return UserError(f"trial {trial.id} ({trial.status}) has no {name}: {where}")


def export_architecture(
    experiment_id: str,
    out: str | Path,
    trial_id: str | None = None,
    weights: bool = False,
    smallest: bool = False,
) -> Exported:
    """Write the architecture of a trial of an experiment, running or finished.

    Parameters
    ----------
    experiment_id
        NNI's id of the experiment.
    out
        JSON file to write.
    trial_id
        Id of the trial, or its number in the web UI; None for the best one.
    weights
        Whether the supernet's weights are copied beside `out`.
    smallest
        As :func:`choose_trial` takes it.

    Raises
    ------
    UserError
        There is no such experiment, trial or file, or the file is no valid architecture. Nothing is written then.
    """
    trial = choose_trial(list_trials(find_experiment(experiment_id)), trial_id, smallest)
    source, target = trial.folder / ARCHITECTURE_FILE, Path(out)
    if not source.is_file():
        raise _missing(trial, ARCHITECTURE_FILE)
    architecture = Architecture.read(source)
    supernet = trial.folder / WEIGHTS_FILE
    if weights and not supernet.is_file():
        raise _missing(trial, WEIGHTS_FILE)
    if weights:  # first: a JSON file without the weights that were asked for would be half an export
        copy_whole(supernet, target.with_name(WEIGHTS_FILE))
    architecture.write(target)
    return Exported(trial, architecture, target, target.with_name(WEIGHTS_FILE) if weights else None)
