"""Reports of other splits: users with several targets, and figures of two splits that never share a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.metrics import user_gains
from easrec_nni.report import write_report
from easrec_nni.report.comparison import ComparisonRow, comparison_csv, comparison_markdown, comparison_table, read_run
from easrec_nni.report.reading import read_study
from easrec_nni.report.sections import merge_studies
from easrec_nni.report.significance.users import paired_bootstrap

Write = Callable[..., Path]
PROTOCOLS = ("full", "pop100", "pop100_recbole", "uni100")
OWNERS = np.sort(np.random.default_rng(2).integers(0, 25, 60))
"""Users of 60 targets."""


def divide_targets(study: Path, users: np.ndarray, split: str = "time:90%") -> None:
    """Make a study's cells those of another split, in which some users have several targets."""
    file = study / "study.json"
    document = json.loads(file.read_text())
    document["dataset"] |= {"split": split, "fingerprint": f"fingerprint of {split}"}
    file.write_text(json.dumps(document))
    for cell in study.glob("cells/*/seed*"):
        with np.load(cell / "ranks.npz") as arrays:
            ranks = dict(arrays)
        np.savez_compressed(cell / "ranks.npz", test_users=users, **ranks)
        result = json.loads((cell / "result.json").read_text())
        result["dataset"] = document["dataset"]
        for metric in ("recall", "mrr", "ndcg"):
            for protocol in PROTOCOLS:
                gains = user_gains(ranks[f"test_{protocol}"], metric, 10)
                means = [gains[users == user].mean() for user in np.unique(users)]
                result["test"][f"{metric}@10_{protocol}"] = float(np.mean(means))
        (cell / "result.json").write_text(json.dumps(result))


def test_users_are_drawn_anew_and_not_their_targets(write_study: Write, tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", {"easrec": 0.3, "sasrec": 0.1})
    divide_targets(study, OWNERS)
    [section] = merge_studies([read_study(study)])
    gains = {}
    for name in ("easrec", "sasrec"):
        system = section.system(name)
        assert system is not None
        gains[name] = np.stack(list(system.gains("ndcg", "full").values()))
        assert gains[name].shape == (3, len(np.unique(OWNERS)))
        measure = system.measure("test", "ndcg@10_full")
        assert measure is not None and measure.mean == pytest.approx(gains[name].mean())
        error = gains[name].mean(axis=0).std(ddof=1) / np.sqrt(gains[name].shape[1])
        assert system.user_error("ndcg", "full") == pytest.approx(error)
    assert paired_bootstrap(gains["easrec"], gains["sasrec"]).users == len(np.unique(OWNERS))


def test_two_splits_of_one_dataset_have_sections_that_name_them(write_study: Write, tmp_path: Path) -> None:
    usual = write_study(tmp_path / "usual", {"easrec": 0.3, "sasrec": 0.1})
    other = write_study(tmp_path / "other", {"easrec": 0.3, "sasrec": 0.1})
    divide_targets(other, OWNERS)
    sections = merge_studies([read_study(usual), read_study(other)])
    assert [section.dataset.title for section in sections] == ["ml-100k", "ml-100k, split time:90%"]
    write_report([usual, other], tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "ml-100k, split time:90%" in text


def test_cells_of_other_targets_do_not_belong_together(write_study: Write, tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", {"easrec": 0.3, "sasrec": 0.1})
    divide_targets(study, OWNERS)
    cell = next(study.glob("cells/sasrec/seed1"))
    with np.load(cell / "ranks.npz") as arrays:
        ranks = {name: array for name, array in arrays.items() if name != "test_users"}
    moved = OWNERS + 1  # the same means, of other users
    np.savez_compressed(cell / "ranks.npz", test_users=moved, **ranks)
    with pytest.raises(UserError, match="targets of other users"):
        merge_studies([read_study(study)])
    np.savez_compressed(cell / "ranks.npz", test_users=OWNERS[:-1], **ranks)
    with pytest.raises(UserError, match="one user for each target"):
        read_study(study)
    np.savez_compressed(cell / "ranks.npz", **ranks)
    with pytest.raises(UserError, match="gives ndcg@10_full"):
        read_study(study)


def test_networks_of_two_splits_are_not_compared(tmp_path: Path) -> None:
    document = {"test": {"ndcg@10_full": 0.1}, "dataset": {"name": "shop", "split": "time:90%"}}
    (tmp_path / "metrics.json").write_text(json.dumps(document))
    (tmp_path / "evaluated.json").write_text(json.dumps({"ndcg@10_full": 0.1, "dataset": "shop", "split": "last:2"}))
    rows = [read_run("one", tmp_path / "metrics.json"), read_run("other", tmp_path / "evaluated.json")]
    assert [row.split for row in rows] == ["time:90%", "last:2"]
    for show in (comparison_csv, comparison_markdown, comparison_table):
        show([rows[0], rows[0]])
        for pair in (rows, [rows[0], ComparisonRow("old", {"ndcg@10_full": 0.1})]):
            with pytest.raises(UserError, match="tested by different splits .*one time:90%"):
                show(pair)
