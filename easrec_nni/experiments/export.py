"""Taking a searched architecture out of an NNI experiment, or out of what NNI knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_copy
from easrec_nni.evaluation.selection import SELECTED, name_in
from easrec_nni.experiments.experiment import Trial, best_trial
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.experiments.remote_files import fetch, trial_place
from easrec_nni.experiments.result_files import read_exported

__all__ = [
    "ARCHITECTURE_FILE",
    "WEIGHTS_FILE",
    "Exported",
    "choose_trial",
    "describe_score",
    "export_architecture",
    "trial_architecture",
    "trials_of",
]

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
    rebuilt
        Whether the trial's files could not be reached, so that the architecture is the one in NNI's records.
    """

    trial: Trial
    architecture: Architecture
    file: Path
    weights: Path | None
    rebuilt: bool = False


def trials_of(source: str | Path) -> list[Trial]:
    """Trials of an experiment by its id, running, stopped or finished; or of a file of results.

    Parameters
    ----------
    source
        NNI's id of an experiment, or what :func:`~easrec_nni.experiments.result_files.read_exported` reads.

    Raises
    ------
    UserError
        There is no such experiment or file, or it cannot be read.
    """
    return read_exported(Path(source)) if Path(source).is_file() else list_trials(find_experiment(str(source)))


def choose_trial(trials: Sequence[Trial], trial_id: str | None = None, smallest: bool = False) -> Trial:
    """Trial by id or number in the web UI; without one, the best.

    Parameters
    ----------
    trials
        To choose from; without an id, a study's baselines are left out.
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
        best = best_trial([trial for trial in trials if not _is_baseline(trial)]) or best_trial(trials)
        if best is None:
            raise UserError(f"no trial has a final result yet: {_summary(trials)}")
        return _smallest_as_good(trials, best) if smallest else best
    named = [trial for trial in trials if trial_id in (trial.id, str(trial.number))]
    if len(named) > 1:  # NNI may count anew when an experiment is resumed
        raise UserError(f"{len(named)} trials have the number {trial_id}; give the id of one: {_summary(named)}")
    if named:
        return named[0]
    raise UserError(f"the experiment has no trial {trial_id!r}: {_summary(trials)}")


def _is_baseline(trial: Trial) -> bool:
    """Whether a study's trial was of a baseline, which has no network to take."""
    return bool((trial.final or {}).get("system")) and trial.figure("madds_per_user") is None


def _smallest_as_good(trials: Sequence[Trial], best: Trial) -> Trial:
    assert best.score is not None
    least = best.score - (best.figure("default_standard_error") or 0.0)
    as_good = [
        (cost, trial.number, trial)
        for trial in trials
        if trial.score is not None
        and trial.score >= least
        and trial.figure("feasible") == best.figure("feasible")  # a standard error does not lead over a ceiling
        and (cost := trial.figure("madds_per_user")) is not None
    ]
    return min(as_good, key=lambda entry: entry[:2])[2] if as_good else best


def _summary(trials: Sequence[Trial]) -> str:
    if not trials:
        return "no trial has begun"
    shown = [f"{trial.number} {trial.id} {trial.status}" for trial in trials[:20]]
    failed = next((trial for trial in trials if trial.status == "FAILED" and trial.last_error()), None)
    reason = f"; trial {failed.number} ended with: {failed.last_error()[:200]}" if failed else ""
    return ", ".join(shown) + (" …" if len(trials) > len(shown) else "") + reason


def trial_architecture(trial: Trial) -> tuple[Architecture, bool]:
    """Architecture of a trial, from its folder or else from its final result; and whether it was the latter.

    Raises
    ------
    UserError
        There is neither, or it is not valid.
    """
    file = trial.folder / ARCHITECTURE_FILE
    if file.is_file():
        return Architecture.read(file), False
    text = (trial.final or {}).get("architecture")
    if isinstance(text, str):
        return Architecture.parse(text, f"the architecture in NNI's records of trial {trial.number}"), True
    raise _missing(trial, ARCHITECTURE_FILE)


def describe_score(trial: Trial) -> str:
    """What a trial reached, to be put behind its name; empty while it has no result."""
    if trial.score is None:
        return ""
    ndcg = trial.figure(name_in(trial.final or {}, SELECTED))
    if ndcg is None or (trial.final or {}).get("objective") == "ndcg":
        return f", validation NDCG@10 {trial.score:.4f}"
    above = ", above the ceiling of cost" if trial.figure("feasible") == 0 else ""
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
        where = "it has not searched to the end yet"
    else:
        where = f"look into {trial.folder}"
    return UserError(f"trial {trial.id} ({trial.status}) has no {name}: {where}")


def _take_weights(experiment: str | Path, trial: Trial, supernet: Path, target: Path) -> None:
    """Copy a trial's weights, from this machine or from the worker that ran it."""
    if supernet.is_file():
        atomic_copy(supernet, target)
    elif trial.folder.is_dir() or Path(experiment).is_file() or not trial_place(trial):
        raise _missing(trial, WEIGHTS_FILE)
    else:
        fetch(find_experiment(str(experiment)), trial, WEIGHTS_FILE, target)


def export_architecture(
    experiment: str | Path,
    out: str | Path,
    trial_id: str | None = None,
    weights: bool = False,
    smallest: bool = False,
) -> Exported:
    """Write the architecture of a trial of an experiment, running, stopped or finished.

    Where the trial's folder is not on this machine, the architecture is the one that its final result carries.

    Parameters
    ----------
    experiment
        NNI's id of the experiment, or a file as :func:`trials_of` takes it.
    out
        JSON file to write.
    trial_id
        Id of the trial, or its number in the web UI; None for the best one.
    weights
        Whether the supernet's weights are copied beside `out`, with ``scp`` from a worker of the remote service.
    smallest
        As :func:`choose_trial` takes it.

    Raises
    ------
    UserError
        There is no such experiment, trial or file, or the file is no valid architecture. Nothing is written then.
    """
    trial = choose_trial(trials_of(experiment), trial_id, smallest)
    architecture, rebuilt = trial_architecture(trial)
    supernet, target = trial.folder / WEIGHTS_FILE, Path(out)
    if weights:  # first: a JSON file without the weights that were asked for would be half an export
        _take_weights(experiment, trial, supernet, target.with_name(WEIGHTS_FILE))
    architecture.write(target)
    return Exported(trial, architecture, target, target.with_name(WEIGHTS_FILE) if weights else None, rebuilt)
