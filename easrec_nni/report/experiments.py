"""Section on an NNI experiment: its trials, their costs, curves and failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from easrec_nni.architecture.cost_kinds import COST_FIGURES, COST_TITLES
from easrec_nni.architecture.document import LARGEST_DECIDED_ENTROPY
from easrec_nni.common.pareto import pareto_front
from easrec_nni.common.readable import printable, readable_change, readable_count, readable_seconds
from easrec_nni.evaluation.figures import REFITTED
from easrec_nni.evaluation.judgement import Judgement
from easrec_nni.experiments.experiment import Trial, best_trial, is_experiment_id
from easrec_nni.experiments.export import compared_cost, trials_of
from easrec_nni.report.composing import SectionContent
from easrec_nni.report.content import (
    Block,
    Chapter,
    Column,
    Entry,
    Paragraph,
    Record,
    Row,
    Table,
    mark_best,
    number_entry,
)
from easrec_nni.report.histories import Curves
from easrec_nni.report.judgements import choice_of, choice_text, judged_trials
from easrec_nni.report.pareto import figure_of
from easrec_nni.report.plots.judgement import judgement_plot
from easrec_nni.report.plots.tradeoff import tradeoff_plot
from easrec_nni.report.plots.training import training_plot
from easrec_nni.report.sections import RANKINGS

__all__ = ["experiment_content", "is_experiment", "trial_records"]

MOST_CURVES = 24  # maximum number of trials with curves
LONGEST_TEXT = 200  # maximum length of a reason or a parameter
GROUP = "search strategy"  # decides the style of points in plots
_LEFT_OUT = ("architecture", "files_at", "unpruned_run")
_COLUMNS = (
    Column("default", "objective", "validation", True),
    Column("valid_ndcg@10_full", "NDCG@10 full", "validation", True),
    Column("valid_ndcg@10_unseen", "NDCG@10 unseen", "validation", True),
    Column("test_ndcg@10_full", "NDCG@10 full", "test", True),
    Column("test_ndcg@10_unseen", "NDCG@10 unseen", "test", True),
    Column("test_ndcg@10_pop100", "NDCG@10 pop100", "test", True),
    Column("test_ndcg@10_pop100_recbole", "NDCG@10 pop100_recbole", "test", True),
    Column("test_recall@10_full", "Recall@10 full", "test", True),
    Column("test_mrr@10_full", "MRR@10 full", "test", True),
    *(
        Column(f"test_{metric}@10_{ranking}{REFITTED}", f"{title}@10 {ranking}", "test, refitted", True)
        for ranking in ("full", "unseen")
        for metric, title in (("ndcg", "NDCG"), ("recall", "Recall"))
    ),
    Column("madds_per_user", "multiply-adds per user", "cost", False),
    Column("executed_madds_per_user_on_histories", "executed on histories", "cost", False),
    Column("parameters", "parameters", "cost", False),
    Column("inference_ms_per_user", "ms per user", "cost", False),
    Column("latency_ms_per_user", "predicted ms per user", "cost", False),
    Column("hidden_pruning", "hidden pruning", "network"),
    Column("inner_pruning", "inner pruning", "network"),
    Column("depth", "depth", "network"),
    Column("entropy_pruning", "entropy of α, nats", "network"),
    Column("entropy_depth", "entropy of β, nats", "network"),
)
_COUNTS = ("madds_per_user", "executed_madds_per_user_on_histories", "parameters")


def is_experiment(source: str | Path) -> bool:
    """Whether a report's source is an experiment's id or a results file, not a study folder."""
    path = Path(source)
    return path.is_file() or (not path.exists() and is_experiment_id(str(source)))


def trial_records(source: str, trials: Sequence[Trial]) -> list[Record]:
    """Flat record of each trial, with keys such as ``sampled_lambda`` and ``test_ndcg@10_full``."""
    records = []
    for trial in trials:
        record: Record = {"experiment": source, "trial": trial.number, "id": trial.id, "status": trial.status}
        record |= {f"sampled_{name}": _plain(value) for name, value in trial.parameters.items()}
        record |= {
            name: _plain(value)
            for name, value in (trial.final or {}).items()
            if isinstance(name, str) and name not in _LEFT_OUT and name not in record
        }
        record["seconds"] = trial.ended - trial.started if trial.ended and trial.started else None
        records.append(record)
    return records


def _plain(value: object) -> float | int | str | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(str(value))[:LONGEST_TEXT]


def experiment_content(source: str | Path, key: str = "", prefix: str = "") -> SectionContent:
    """Compose the section on an experiment, running or ended, or on a results file.

    Parameters
    ----------
    source
        Experiment's id or results file, see :func:`~easrec_nni.experiments.export.trials_of`.
    key, prefix
        See :func:`~easrec_nni.report.composing.compose`.

    Raises
    ------
    UserError
        The experiment or file does not exist.
    """
    name = Path(source).stem
    trials = trials_of(source)
    records = trial_records(name, trials)
    chapters = [
        Chapter(f"{key}trials", "Trials", [_trials_table(trials, records), *_tradeoff(trials, prefix)]),
        *_judgement(trials, key, prefix),
        *_curves(trials, key, prefix),
        *_without_result(trials, key),
    ]
    return SectionContent(
        key, f"NNI experiment {name}", _verdict(trials), _warnings(trials), chapters, {"trials": records}
    )


def _label(trial: Trial) -> str:
    sampled = [f"{'λ' if name == 'lambda' else name} = {_plain(value)}" for name, value in trial.parameters.items()]
    return ", ".join([f"trial {trial.number}", *sampled])


def _verdict(trials: Sequence[Trial]) -> str:
    best, done = best_trial(trials), sum(trial.score is not None for trial in trials)
    count = f"{done} of {len(trials)} trials ended with a result."
    if best is None:
        return count
    kind = compared_cost(trials)
    cost = best.figure(COST_FIGURES[kind])
    about = f" at {readable_count(cost)} {COST_TITLES[kind]} per user" if cost is not None else ""
    judged = judged_trials(trials)
    kept = f" {' '.join(f'{_sentence(line)}.' for line in choice_text(judged, choice_of(judged)))}" if judged else ""
    return f"{count} The best by what was maximised is {_label(best)}: {best.score:.4f}{about}.{kept}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _warnings(trials: Sequence[Trial]) -> list[str]:
    warnings = []
    running = [trial for trial in trials if not trial.is_over]
    if running:
        warnings.append(f"{len(running)} trials have not ended: this report is preliminary.")
    best = best_trial(trials)
    if best is not None and best.figure("feasible") == 0:
        warnings.append("No trial is below the requested cost ceiling; the best one is the nearest.")
    if best is not None and sum(trial.score is not None for trial in trials) > 1:
        warnings.append(
            "Single seed each: the best of several trials is partly lucky, and its validation figure is biased "
            "upwards. Test figures were not used for the choice."
        )
    return warnings


def _trials_table(trials: Sequence[Trial], records: Sequence[Record]) -> Table:
    results = [column for column in _COLUMNS if any(record.get(column.key) is not None for record in records)]
    sampled = [Column(name, name.removeprefix("sampled_"), "sampled") for name in _sampled_names(records)]
    columns = [Column("status", "status", "trial"), *sampled, *results]
    rows = []
    for trial, record in zip(trials, records, strict=True):
        entries = {column.key: _entry(record, column.key) for column in results}
        entries |= {column.key: _text(record.get(column.key)) for column in sampled}
        entries["status"] = Entry(trial.status.lower())
        rows.append(Row(f"trial {trial.number}", entries, hint=trial.id))
    notes = [
        "The tuner maximised the column “objective”. A multiply-add is one multiplication and one addition, counted "
        "for one user with a history of full length. Times were measured in the trial, whatever else the machine did. "
        f"A search whose α or β has an entropy above {LARGEST_DECIDED_ENTROPY} nats at its end is undecided."
    ]
    return Table("Trials of the experiment", columns, mark_best(results, rows), first="trial", notes=notes)


def _sampled_names(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record if name.startswith("sampled_")))


def _entry(record: Record, key: str) -> Entry:
    if key in _COUNTS:
        return number_entry(record, key, readable_count)
    return number_entry(record, key, lambda value: f"{value:.4g}" if "@" not in key else f"{value:.4f}")


def _text(value: object) -> Entry:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Entry(f"{value:.4g}", float(value))
    return Entry("–" if value is None else str(value))


def _ranking(trials: Sequence[Trial]) -> str:
    """Ranking that selected the epochs of all trials; full where it is not one."""
    selected = {str(trial.final.get("select_by")) for trial in trials if trial.final}
    return "unseen" if selected == {"ndcg@10_unseen"} else "full"


def _tradeoff(trials: Sequence[Trial], prefix: str) -> list[Block]:
    figure, ranking = COST_FIGURES[compared_cost(trials)], _ranking(trials)
    key = f"ndcg@10_{ranking}"
    points: list[Record] = []
    for trial in trials:
        cost, accuracy = trial.figure(figure), trial.figure(f"test_{key}")
        if cost is not None and cost > 0 and accuracy is not None:
            title = f"trial {trial.number}"
            points.append({"system": title, "title": title, "group": GROUP, figure: cost, key: accuracy})
    if len(points) < 2:
        return []
    front = set(pareto_front([(figure_of(point, figure), figure_of(point, key)) for point in points]))
    records = [{**point, "pareto": index in front} for index, point in enumerate(points)]
    caption = "Further left is cheaper, further up is more accurate. Dashed: the Pareto front."
    return [replace(tradeoff_plot(records, figure, f"{prefix}accuracy-cost", ranking), caption=caption)]


def _judgement(trials: Sequence[Trial], key: str, prefix: str) -> list[Chapter]:
    """Chapter on the judgements against the unpruned network; none where no trial was judged."""
    judged = judged_trials(trials)
    if not judged:
        return []
    columns = [
        Column("cost", "multiply-adds, of unpruned", "cost", False),
        *(
            Column(f"{part}_{name}", title, users)
            for part, users in (("valid", "validation users: the choice"), ("test", "test users: the check"))
            for name, title in (("verdict", "accuracy"), ("difference", "difference"), ("interval", "90 % interval"))
        ),
    ]
    rows = [
        Row(
            _label(each.trial),
            {
                "cost": Entry(f"{each.cost_share:.0%}", each.cost_share),
                **_judgement_entries("valid", each.valid),
                **_judgement_entries("test", each.test),
            },
            hint=each.trial.id,
        )
        for each in judged
    ]
    first = judged[0].valid
    note = (
        f"{first.figure} relative to the unpruned network's. Kept: the whole interval is above "
        f"{readable_change(-first.margin)}; lost: the whole interval is below it; cannot tell: it is inside. Users are "
        "resampled in pairs; the networks are fixed, so another training may differ."
    )
    table = Table("Judgement against the unpruned network", columns, rows, first="trial", notes=[note])
    drawn = judgement_plot(judged, choice_of(judged), f"{prefix}judgement")
    return [Chapter(f"{key}judgement", "Is the accuracy kept?", [table, drawn])]


def _judgement_entries(part: str, judged: Judgement) -> dict[str, Entry]:
    difference, low, high = judged.difference, judged.low, judged.high
    interval = "–" if low is None or high is None else f"{readable_change(low)} to {readable_change(high)}"
    return {
        f"{part}_verdict": Entry(judged.verdict),
        f"{part}_difference": Entry("–" if difference is None else readable_change(difference), difference),
        f"{part}_interval": Entry(interval),
    }


def _curves(trials: Sequence[Trial], key: str, prefix: str) -> list[Chapter]:
    blocks: list[Block] = []
    ranking = _ranking(trials)
    accuracy = f"ndcg@10_{ranking}"
    for phase, title in (("search", "Validation NDCG@10 while searching"), ("retrain", "… while retraining")):
        curves: dict[str, tuple[str, Curves]] = {}
        for trial in trials[:MOST_CURVES]:
            points = [
                (float(report["epoch"]), float(report[accuracy]))
                for report in trial.intermediate
                if report.get("phase") == phase and _are_numbers(report.get("epoch"), report.get(accuracy))
            ]
            if points:
                curves[_label(trial)] = (GROUP, {0: points})
        if curves:
            blocks.append(
                training_plot(curves, f"{prefix}training-{phase}", title, f"validation NDCG@10, {RANKINGS[ranking]}")
            )
    return [Chapter(f"{key}curves", "How the trials went", blocks)] if blocks else []


def _are_numbers(*values: object) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _without_result(trials: Sequence[Trial], key: str) -> list[Chapter]:
    rows = []
    for trial in trials:
        if trial.score is None:
            spent = readable_seconds(trial.ended - trial.started) if trial.started and trial.ended else "–"
            reason = printable(trial.last_error())[:LONGEST_TEXT] or "–"
            entries = {"status": Entry(trial.status.lower()), "time": Entry(spent), "reason": Entry(reason)}
            rows.append(Row(_label(trial), entries, hint=trial.id))
    if not rows:
        return []
    columns = [Column("status", "status"), Column("time", "time"), Column("reason", "last line of its errors")]
    explained = Paragraph(
        "A trial that is early_stopped or user_canceled was ended by the assessor, as others were better at the same "
        "epoch, or by a person: NNI does not tell the two apart on this machine."
    )
    table = Table("Trials without a result", columns, rows, first="trial")
    return [Chapter(f"{key}failed", "Without a result", [explained, table])]
