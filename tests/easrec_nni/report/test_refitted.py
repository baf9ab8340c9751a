"""Figures of refitted networks, which no table has beside those of validated ones."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.figures import REFITTED
from easrec_nni.report import write_report, writing
from easrec_nni.report.chapters_results import refitted_chapter
from easrec_nni.report.composing import SectionContent, compose
from easrec_nni.report.content import Table
from easrec_nni.report.reading import read_study
from easrec_nni.report.refitted import refitted_records, refitted_table
from easrec_nni.report.sections import merge_studies

WriteStudy = Callable[..., Path]
GAIN = 0.05


def refit(study: Path, *cells: str) -> None:
    """Add figures of a refit, each better than the validated ones, to some cells."""
    for cell in cells:
        file = study / "cells" / cell / "result.json"
        result = json.loads(file.read_text())
        refitted = {f"{key}{REFITTED}": value + GAIN for key, value in result["test"].items() if "@10_" in key}
        file.write_text(json.dumps({**result, "test_refitted": refitted}))


@pytest.fixture
def study(write_study: WriteStudy, tmp_path: Path) -> Path:
    path = write_study(tmp_path / "s", {"sasrec": 0.0, "easrec": 0.3, "darts": 0.1, "popularity": -0.8}, seeds=(0, 1))
    refit(path, "sasrec/seed0", "sasrec/seed1", "easrec/seed0", "easrec/seed1", "darts/seed1")
    return path


def test_means_over_seeds_and_systems_that_were_not_refitted(study: Path) -> None:
    records = {str(record["system"]): record for record in refitted_records(merge_studies([read_study(study)])[0])}
    assert list(records) == ["sasrec", "easrec", "darts"]  # nothing trains popularity
    results = [json.loads((study / f"cells/easrec/seed{seed}/result.json").read_text())["test"] for seed in (0, 1)]
    values = [result["ndcg@10_unseen"] + GAIN for result in results]
    assert records["easrec"]["ndcg@10_unseen_refitted"] == pytest.approx(statistics.fmean(values))
    assert records["easrec"]["ndcg@10_unseen_refitted_sd"] == pytest.approx(statistics.stdev(values))
    assert records["darts"]["ndcg@10_unseen_refitted"] is None
    table = refitted_table(list(records.values()))
    assert "Not refitted with every seed, so without a mean: DARTS + SASRec (1 of 2 seeds)." in table.notes
    easrec = next(row for row in table.rows if row.hint == "easrec").entries["ndcg@10_full_refitted"]
    assert easrec.best and not easrec.star


def test_no_table_or_file_mixes_the_two_kinds(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[SectionContent] = []

    def kept(*arguments: Any) -> SectionContent:
        composed.append(compose(*arguments))
        return composed[-1]

    monkeypatch.setattr(writing, "compose", kept)
    write_report([study], tmp_path / "report")
    tables = [block for chapter in composed[0].chapters for block in chapter.blocks if isinstance(block, Table)]
    mixed = {table.title: {column.key.endswith(REFITTED) for column in table.columns} for table in tables}
    assert [title for title, kinds in mixed.items() if True in kinds] == ["Refitted: accuracy of every system"]
    assert mixed["Refitted: accuracy of every system"] == {True}
    with (tmp_path / "report" / "results.csv").open() as stream:
        rows = {(row["system"], row["seed"]): row for row in csv.DictReader(stream)}
    easrec = rows["easrec", "0"]
    assert float(easrec["test_ndcg@10_full_refitted"]) == pytest.approx(float(easrec["test_ndcg@10_full"]) + GAIN)
    assert rows["popularity", "0"]["test_ndcg@10_full_refitted"] == ""
    with (tmp_path / "report" / "refitted.csv").open() as stream:
        figures = {name for row in csv.DictReader(stream) for name in row if "@" in name}
    assert all(name.removesuffix("_sd").endswith(REFITTED) for name in figures) and len(figures) == 30
    with (tmp_path / "report" / "table3.csv").open() as stream:
        assert not any(REFITTED in name for name in next(csv.reader(stream)))


def test_a_study_without_refits_has_no_such_chapter(write_study: WriteStudy, tmp_path: Path) -> None:
    section = merge_studies([read_study(write_study(tmp_path / "s", {"sasrec": 0.0, "easrec": 0.3}))])[0]
    assert refitted_chapter(section) is None


@pytest.mark.parametrize(
    ("part", "key"), [("test", "ndcg@10_full_refitted"), ("valid", "x_refitted"), ("test_refitted", "ndcg@10_full")]
)
def test_a_result_under_the_other_name_is_refused(part: str, key: str, study: Path) -> None:
    file = study / "cells" / "easrec" / "seed0" / "result.json"
    result = json.loads(file.read_text())
    file.write_text(json.dumps({**result, part: {**result[part], key: 0.5}}))
    with pytest.raises(UserError, match=f"{part}.*{key} is (not )?of a refitted network"):
        read_study(study)
