"""``judgement.json``: judgement of a retrained network against the unpruned one's run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.training_settings import EARLIER_DEFAULTS
from easrec_nni.common.documents import ResultDocument, deep_merge, read_document
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.common.run_files import ARCHITECTURE_FILE, JUDGEMENT_FILE, RANKS_FILE
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.judgement import Judgement, judge
from easrec_nni.evaluation.metrics import mean_by_user, user_gains
from easrec_nni.evaluation.rank_files import read_ranks
from easrec_nni.evaluation.selection import MONITOR, compared_figure, protocol_of, validation_rows
from easrec_nni.retraining.metrics import RunMetrics, read_metrics
from easrec_nni.settings.search import SearchSettings
from easrec_nni.settings.trial import TrialSettings

__all__ = ["RunJudgement", "judge_run", "read_judgement"]


MAY_DIFFER = frozenset({"seed", "data_fingerprint", "devices", "micro_batch", "objective", "judge", "select_by"})
RETRAIN_MAY_DIFFER = frozenset({"epochs", "weights", "refit"})


class RunJudgement(ResultDocument):
    """Contents of ``judgement.json``.

    Attributes
    ----------
    compared_with
        Folder of the unpruned network's run.
    valid_selection_users
        Judgement by the validation targets of the users who trained no alpha or beta: by it networks are chosen.
    test
        Judgement by the test targets: the final statement, which decides nothing.
    cost, unpruned_cost
        Costs of the two networks.
    notes
        Sentences on differences of the two trainings besides the architecture.
    """

    compared_with: str
    valid_selection_users: Judgement
    test: Judgement
    cost: dict[str, float]
    unpruned_cost: dict[str, float]
    notes: list[str] = []

    @property
    def lines(self) -> list[str]:
        """Lines for a terminal: both judgements and the notes."""
        return [
            f"validation users, for the choice: {self.valid_selection_users.text}",
            f"test users: {self.test.text}",
            *(f"note: {note}" for note in self.notes),
        ]


def judge_run(run: Path, unpruned: Path, dataset: Dataset, margin: float) -> RunJudgement:
    """Judge a run against the unpruned network's by NDCG@10 in the ranking of ``select_by``; write ``judgement.json``.

    Parameters
    ----------
    run
        Folder of the retrained network.
    unpruned
        Folder of the unpruned network's retraining on the same dataset.
    dataset
        Dataset of both.
    margin
        Largest loss that counts as kept, as a share of the unpruned network's NDCG@10.

    Raises
    ------
    UserError
        A folder is not a complete run, or the two runs cannot be compared.
    """
    metrics, other = read_metrics(run), read_metrics(unpruned)
    _check_comparable(run, metrics, unpruned, other)
    protocol = protocol_of(compared_figure(_select_by(metrics), dataset))
    ranks, other_ranks = (_read_ranks(folder, protocol) for folder in (run, unpruned))
    recorded = Architecture.read(run / ARCHITECTURE_FILE).training
    share = recorded.arch_share if recorded and recorded.arch_share is not None else SearchSettings().arch_share
    _, rows = validation_rows(dataset, share)
    all_rows = np.arange(len(dataset.split.test))

    def judged(part: str, rows: NDArray[Any], users: NDArray[np.int64] | None) -> Judgement:
        one, two = (_gains(each[f"{part}_{protocol}"], rows, users) for each in (ranks, other_ranks))
        return judge(one, two, margin, figure=f"ndcg@10_{protocol}")

    judgement = RunJudgement(
        compared_with=str(unpruned.resolve()),
        valid_selection_users=judged("valid", rows, dataset.split.valid.row_users),
        test=judged("test", all_rows, dataset.split.test.row_users),
        cost=metrics.cost,
        unpruned_cost=other.cost,
        notes=[*_different_settings(metrics, other), *_ran_out(metrics, run), *_ran_out(other, unpruned)],
        **provenance(),
    )
    write_json(run / JUDGEMENT_FILE, judgement.as_json())
    return judgement


def read_judgement(run: Path) -> RunJudgement:
    """Read ``judgement.json`` of a run folder.

    Raises
    ------
    UserError
        The file is missing or damaged.
    """
    return read_document(run / JUDGEMENT_FILE, RunJudgement, "judge the run again: `easrec retrain --compare`")


def _gains(ranks: NDArray[np.int64], rows: NDArray[Any], users: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """NDCG@10 of each user, over some rows of the targets: ``[users]``."""
    return mean_by_user(user_gains(ranks[rows], "ndcg", 10), None if users is None else users[rows])


def _read_ranks(folder: Path, protocol: str) -> dict[str, NDArray[np.int64]]:
    return read_ranks(folder / RANKS_FILE, [f"test_{protocol}", f"valid_{protocol}"], "run that retraining again")


def _select_by(metrics: RunMetrics) -> str:
    return str(metrics.settings.get("select_by", MONITOR))


def _check_comparable(run: Path, metrics: RunMetrics, unpruned: Path, other: RunMetrics) -> None:
    """Refuse runs whose targets or rankings differ."""
    for folder, figures in ((run, metrics), (unpruned, other)):
        if not figures.test:
            raise UserError(f"{folder} was trained on all interactions and has no figures to compare")
    one, two = metrics.dataset, other.dataset
    if one is None or two is None or (one.fingerprint, one.split) != (two.fingerprint, two.split):
        raise UserError(f"{unpruned} was tested on another dataset or split than {run}: they cannot be compared")
    if _select_by(metrics) != _select_by(other):
        raise UserError(
            f"{unpruned} was selected by {_select_by(other)}, {run} by {_select_by(metrics)}: train one of them again "
            f"with --set select_by={_select_by(metrics)}"
        )


_DEFAULTS = deep_merge(
    TrialSettings(data="").model_dump(mode="json", by_alias=True, exclude={"search", "space", "data"}),
    {name: EARLIER_DEFAULTS[name] for name in ("batch_by", "select_by", "retrain")},
)
"""Settings of a run whose version did not record them."""


def _different_settings(metrics: RunMetrics, other: RunMetrics) -> list[str]:
    """Note on settings of the two trainings that differ, apart from those that may."""
    one, two = (_training_settings(deep_merge(_DEFAULTS, each.settings)) for each in (metrics, other))
    different = [
        f"{name} {one.get(name)} and {two.get(name)}" for name in sorted({*one, *two}) if one.get(name) != two.get(name)
    ]
    return [f"the two were trained with different settings: {', '.join(different)} (unpruned)"] if different else []


def _training_settings(settings: dict[str, Any]) -> dict[str, Any]:
    retrain = settings.get("retrain", {})
    flat = {f"retrain.{name}": value for name, value in retrain.items() if name not in RETRAIN_MAY_DIFFER}
    return {name: value for name, value in settings.items() if name not in {*MAY_DIFFER, "retrain"}} | flat


def _ran_out(metrics: RunMetrics, folder: Path) -> list[str]:
    """Note on a network that was still improving in its last epoch."""
    training = metrics.training
    allowed = metrics.settings.get("retrain", {}).get("epochs")
    if training.epochs == allowed == training.best_epoch + 1:
        return [f"{folder} still improved in the last of its {allowed} epochs: trained longer, it may gain"]
    return []
