from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.report.comparing import Interval, compare, is_better, is_significant, is_tested
from easrec_nni.report.reading import read_study
from easrec_nni.report.sections import SystemCells, merge_studies
from easrec_nni.report.significance import holm, paired_test

WriteStudy = Callable[..., Path]


def _systems(path: Path) -> dict[str, SystemCells]:
    (section,) = merge_studies([read_study(path)])
    return {system.name: system for system in section.systems}


def test_systems_are_compared_by_the_statistics_of_the_project(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 1.0, "sasrec": 0.0, "darts": 0.9}, users=300, seeds=range(5))
    systems = _systems(path)
    comparisons = compare(systems["easrec"], (systems["sasrec"], systems["darts"]), "ndcg", "pop100")
    figures = {name: [cell.result.test["ndcg@10_pop100"] for cell in system.cells] for name, system in systems.items()}
    tests = [paired_test(figures["easrec"], figures[name]) for name in ("sasrec", "darts")]
    corrected = holm([test.p_value for test in tests])
    for name, test, p in zip(("sasrec", "darts"), tests, corrected, strict=True):
        assert comparisons[name].difference == pytest.approx(np.mean(figures["easrec"]) - np.mean(figures[name]))
        assert comparisons[name].p_holm == pytest.approx(p)
        assert comparisons[name].effect_size == pytest.approx(test.effect_size)
    sasrec = comparisons["sasrec"]
    assert is_tested(sasrec) and is_significant(sasrec) and is_better(sasrec)
    backwards = compare(systems["sasrec"], (systems["easrec"],), "ndcg", "pop100")["easrec"]
    assert is_significant(backwards) and not is_better(backwards)


@pytest.mark.parametrize(
    ("p_holm", "interval", "significant"),
    [
        (0.01, Interval(0.001, 0.01), True),
        (0.05, Interval(0.001, 0.01), False),
        (0.01, Interval(-0.001, 0.01), False),
        (None, Interval(0.001, 0.01), False),
        (0.01, None, False),
    ],
)
def test_seeds_and_users_must_both_tell_systems_apart(
    write_study: WriteStudy, tmp_path: Path, p_holm: float | None, interval: Interval | None, significant: bool
) -> None:
    systems = _systems(write_study(tmp_path / "s", {"easrec": 1.0, "sasrec": 0.0}))
    measured = compare(systems["easrec"], (systems["sasrec"],), "ndcg", "full")["sasrec"]
    comparison = replace(measured, difference=0.005, p_holm=p_holm, users_interval=interval)
    assert is_significant(comparison) == is_better(comparison) == significant
    assert not is_better(replace(comparison, difference=-0.005))
    assert is_tested(comparison) == (p_holm is not None and interval is not None)


def test_only_seeds_of_both_count_and_systems_without_any_are_left_out(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1}, seeds=(0, 1, 2))
    write_cell(path, "sasrec", 2)
    write_cell(path, "darts", 7)
    systems = _systems(path)
    comparisons = compare(systems["easrec"], (systems["sasrec"], systems["darts"]), "ndcg", "full")
    assert comparisons.keys() == {"sasrec"} and comparisons["sasrec"].seeds == 1
    assert not is_tested(comparisons["sasrec"]) and not is_significant(comparisons["sasrec"])
    assert not is_tested(None) and not is_significant(None) and not is_better(None)
    assert compare(systems["darts"], (systems["easrec"],), "ndcg", "full") == {}
    assert compare(systems["easrec"], (), "ndcg", "full") == {}
