"""What the table of running trials says of a retraining."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from easrec_nni.experiments.experiment import Trial
from easrec_nni.experiments.watching import trials_table


def shown(*reports: dict[str, object]) -> str:
    console = Console(file=io.StringIO(), width=160, record=True)
    console.print(trials_table([Trial("abc", 0, "RUNNING", {"lambda": 0.1}, Path("nowhere"), reports, None)]))
    return console.export_text()


def test_the_network_before_its_training_is_no_epoch() -> None:
    search = {"phase": "search", "epoch": 0, "default": 0.1, "ndcg@10_full": 0.1}
    begin, first = ({"phase": "retrain", "epoch": epoch, "default": 0.2} for epoch in (-1, 0))
    assert "search epoch 1" in shown(search)
    assert "retrain epoch 0" in shown(search, begin)
    assert "retrain epoch 1" in shown(search, begin, first)


def test_the_figure_is_that_by_which_trials_are_compared() -> None:
    report = {"phase": "retrain", "epoch": 0, "ndcg@10_full": 0.4, "selection_users_ndcg@10_full": 0.25}
    assert "(0.2500)" in shown(report) and "0.4000" not in shown(report)
