from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.bootstrap import paired_bootstrap
from easrec_nni.evaluation.metrics import user_gains
from easrec_nni.report import write_report
from easrec_nni.report.comparison import ComparisonRow, comparison_csv, comparison_markdown, comparison_table, read_run
from easrec_nni.report.reading import read_study
from easrec_nni.report.sections import Section, merge_studies

WriteStudy = Callable[..., Path]


def _section(*paths: Path) -> Section:
    (section,) = merge_studies([read_study(path) for path in paths])
    return section


def test_a_figure_is_summarised_over_seeds_or_not_known(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"easrec": 0.1, "popularity": 0.0}))
    easrec, popularity = section.systems
    # Search seconds of the made-up study: 99.5 + seed.
    measure = easrec.measure("training", "search_seconds")
    assert measure is not None and (measure.n, measure.mean, measure.sd) == (3, 100.5, 1.0)
    assert easrec.record("training", "search_seconds", "time") == {"time": 100.5, "time_sd": 1.0}
    assert popularity.measure("choices", "depth") is None and easrec.measure("choices", "depth") is not None
    assert popularity.record("cost", "parameters") == {"parameters": None, "parameters_sd": None}


def test_the_error_over_users_is_that_of_their_mean_over_seeds(write_study: WriteStudy, tmp_path: Path) -> None:
    system = _section(write_study(tmp_path / "s", {"easrec": 0.1}, seeds=(0, 1))).systems[0]
    gains = [1 / np.log2(cell.ranks["full"] + 1) * (cell.ranks["full"] <= 10) for cell in system.cells]
    per_user = (gains[0] + gains[1]) / 2
    assert system.user_error("ndcg", "full") == pytest.approx(per_user.std(ddof=1) / math.sqrt(60))


def test_systems_are_in_the_registrys_order_and_a_sweep_is_apart(write_study: WriteStudy, tmp_path: Path) -> None:
    systems = {"popularity": 0.0, "easrec-gates0": 0.0, "easrec": 0.0, "tpe": 0.0, "sasrec": 0.0}
    section = _section(write_study(tmp_path / "s", systems, sweep=(0.5, 0.1)))
    assert [system.name for system in section.systems] == ["sasrec", "easrec", "tpe", "easrec-gates0", "popularity"]
    labels = [system.label for system in section.all_systems]
    assert labels[1:4] == ["EASRec", "EASRec, λ = 0.1", "EASRec, λ = 0.5"]
    assert section.system("easrec") is section.systems[1] and section.system("darts") is None


def test_studies_on_the_same_data_are_put_together(write_study: WriteStudy, tmp_path: Path) -> None:
    one = write_study(tmp_path / "one", {"easrec": 0.0})
    two = write_study(tmp_path / "two", {"sasrec": 0.0, "easrec": 0.0}, seeds=(2, 3))
    section = _section(one, two)
    assert [(system.name, system.seeds) for system in section.systems] == [("sasrec", (2, 3)), ("easrec", (0, 1, 2, 3))]


def test_a_cell_that_one_study_misses_and_another_has_is_not_unfinished(
    write_study: WriteStudy, tmp_path: Path
) -> None:
    one = write_study(tmp_path / "one", {"easrec": 0.0})
    (one / "cells" / "easrec" / "seed2" / "result.json").unlink()
    two = write_study(tmp_path / "two", {"easrec": 0.0}, seeds=(2,))
    assert _section(one).unfinished == ("easrec/seed2",)
    assert _section(one, two).unfinished == ()


def test_other_data_is_another_section(write_study: WriteStudy, tmp_path: Path) -> None:
    one = write_study(tmp_path / "one", {"easrec": 0.0})
    two = write_study(tmp_path / "two", {"easrec": 0.0}, dataset="ml-1m", users=70)
    sections = merge_studies([read_study(one), read_study(two)])
    assert [section.dataset.name for section in sections] == ["ml-100k", "ml-1m"]


def test_the_same_cell_with_other_settings_is_refused(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    one = write_study(tmp_path / "one", {"easrec": 0.0})
    two = write_study(tmp_path / "two", {"sasrec": 0.0})
    write_cell(two, "easrec", 1, changes={"settings": {"seed": 1, "search": {"epochs": 99}}})
    with pytest.raises(UserError, match="both have easrec with seed 1, with different settings"):
        _section(one, two)


def test_of_the_same_cell_in_two_studies_the_newest_counts(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    one, two = (write_study(tmp_path / name, {"sasrec": 0.0}) for name in ("one", "two"))
    write_cell(one, "easrec", 0, strength=0.5, changes={"written": "2026-11-24T09:00:00Z"})
    write_cell(two, "easrec", 0, strength=0.0, changes={"written": "2026-11-24T08:00:00Z"})
    for paths in ((one, two), (two, one)):
        (cell,) = _section(*paths).systems[1].cells
        assert cell.folder.is_relative_to(one)


def test_what_was_measured_of_a_sweep_is_not_the_systems(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.0}, sweep=(0.5,))
    document = json.loads((path / "efficiency.json").read_text())
    document["rows"].append({**document["rows"][0], "seed": 2, "parameters": {"lambda": 0.5}})
    (path / "efficiency.json").write_text(json.dumps(document))
    section = _section(path)
    plain, swept = section.all_systems
    assert [row.seed for row in section.efficiency(plain)] == [0]
    assert [row.seed for row in section.efficiency(swept)] == [2]


def test_cells_of_different_users_are_refused(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_study(tmp_path / "one", {"easrec": 0.0})
    write_cell(path, "sasrec", 0, users=50)
    with pytest.raises(UserError, match=r"ranks of \[50, 60\] users"):
        _section(path)


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
            for name, array in ranks.items():
                gains = user_gains(array, metric, 10)
                means = [gains[users == user].mean() for user in np.unique(users)]
                result["test"][f"{metric}@10_{name.removeprefix('test_')}"] = float(np.mean(means))
        (cell / "result.json").write_text(json.dumps(result))


def test_users_are_drawn_anew_and_not_their_targets(write_study: WriteStudy, tmp_path: Path) -> None:
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


def test_two_splits_of_one_dataset_have_sections_that_name_them(write_study: WriteStudy, tmp_path: Path) -> None:
    usual = write_study(tmp_path / "usual", {"easrec": 0.3, "sasrec": 0.1})
    other = write_study(tmp_path / "other", {"easrec": 0.3, "sasrec": 0.1})
    divide_targets(other, OWNERS)
    sections = merge_studies([read_study(usual), read_study(other)])
    assert [section.dataset.title for section in sections] == ["ml-100k", "ml-100k, split time:90%"]
    write_report([usual, other], tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "ml-100k, split time:90%" in text


def test_cells_of_other_targets_do_not_belong_together(write_study: WriteStudy, tmp_path: Path) -> None:
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
