"""``select_by``: the metric that selects an epoch and is reported to the tuner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.evaluation.metrics import user_gains
from easrec_nni.evaluation.scoring import rank_users
from easrec_nni.evaluation.selection import SELECTED, name_in, validation_rows
from easrec_nni.retraining.stage import retrain
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.history import read_history
from easrec_nni.trial.run import run_trial
from search_spaces import Choice

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]}


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    document = {
        "data": str(dataset.path),
        "space": SPACE,
        "search": {"epochs": 2},
        "retrain": {"epochs": 5, "learning_rate": 0.02, "weights": "scratch"},
    }
    return TrialSettings.parse({**document, **changes}, "test")


@pytest.mark.parametrize("figure", ["ndcg@10_full", "ndcg@10_unseen"])
def test_the_best_epoch_is_that_of_the_figure(figure: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, select_by=figure)
    space = settings.space_for(tiny_dataset)
    architecture = Architecture(choices=Choice(hidden_pruning=0, inner_pruning=0, depth=1), space=space)
    done = retrain(architecture, tiny_dataset, tmp_path, settings=settings)
    rows = read_history(tmp_path / "history.csv", empty="nan")
    best = max(rows, key=lambda row: row[figure])
    assert done.metrics["training"]["best_epoch"] == best["epoch"]
    protocol = figure.removeprefix("ndcg@10_")
    ranks = rank_users(done.network, tiny_dataset, "valid", protocols=[protocol])[protocol]
    gains = np.where(ranks <= 10, 1 / np.log2(1.0 + ranks), 0.0)
    assert gains.mean() == pytest.approx(best[figure], abs=1e-12)
    _, compared = validation_rows(tiny_dataset, settings.search.arch_share)
    assert gains[compared].mean() == pytest.approx(best[f"selection_users_{figure}"], abs=1e-12)
    theirs = done.metrics["valid_selection_users"]
    spread = gains[compared].std(ddof=1) / len(compared) ** 0.5
    assert theirs[f"{figure}_standard_error"] == pytest.approx(spread, abs=1e-12)
    with np.load(tmp_path / "ranks.npz") as stored:
        assert stored[f"valid_{protocol}"].tolist() == ranks.tolist()
        assert user_gains(stored["test_unseen"], "ndcg", 10).mean() == done.metrics["test"]["ndcg@10_unseen"]
    recorded = Architecture.read(tmp_path / "architecture.json").training
    assert recorded is not None
    assert recorded.select_by == figure
    other = settings_for(tiny_dataset, select_by={"ndcg@10_full": "ndcg@10_unseen"}.get(figure, "ndcg@10_full"))
    with pytest.raises(UserError, match="select_by"):
        retrain(architecture, tiny_dataset, tmp_path, settings=other)


@pytest.mark.parametrize("strategy", ["easrec", "random"])
def test_a_trial_tells_its_tuner_that_figure(strategy: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    search = {"strategy": strategy, "epochs": 2, "candidate_epochs": 1}
    result = run_trial(settings_for(tiny_dataset, search=search, select_by="ndcg@10_unseen"), tmp_path)
    rows = read_history(tmp_path / "retrained" / "history.csv", empty="nan")
    best = max(row["ndcg@10_unseen"] for row in rows)
    told = next(row for row in rows if row["ndcg@10_unseen"] == best)["selection_users_ndcg@10_unseen"]
    assert result.report["default"] == result.report["valid_selection_ndcg@10_unseen"] == pytest.approx(told, abs=1e-12)
    assert name_in(result.report, SELECTED) == "valid_selection_ndcg@10_unseen"
    assert result.report["default_standard_error"] > 0
