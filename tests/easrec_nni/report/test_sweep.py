from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from easrec_nni.report.plots.sweep import sweep_plot
from easrec_nni.report.reading import read_study
from easrec_nni.report.sections import merge_studies
from easrec_nni.report.sweep import sweep_records, sweep_table

WriteStudy = Callable[..., Path]


def test_a_sweep_is_summarised_by_value(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.3}, sweep=(1.0, 0.0, 0.05), seeds=(0, 1, 2))
    (section,) = merge_studies([read_study(path)])
    records = sweep_records(section)
    assert [record["lambda"] for record in records] == [0.0, 0.05, 1.0]
    # Multiply-adds of the made-up study: 7 M − 5 M λ + 0.3 M seed.
    assert [record["madds_per_user"] for record in records] == pytest.approx([7.3e6, 7.05e6, 2.3e6])
    assert records[0]["madds_per_user_sd"] == pytest.approx(3e5)
    cells = [cell for cell in section.cells if cell.result.parameters.get("lambda") == 1.0]
    values = [cell.result.test["ndcg@10_full"] for cell in cells]
    assert records[2]["ndcg@10_full"] == pytest.approx(statistics.fmean(values))
    assert records[2]["ndcg@10_full_sd"] == pytest.approx(statistics.stdev(values))
    assert records[0]["depth"] == 2 and records[0]["hidden_pruning"] == pytest.approx(0.25 / 3)


def test_few_seeds_are_said(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.3}, sweep=(0.0, 0.5), seeds=(0, 1))
    table = sweep_table(sweep_records(merge_studies([read_study(path)])[0]))
    assert [row.name for row in table.rows] == ["λ = 0", "λ = 0.5"]
    assert any("Fewer than 3 seeds" in note and "λ = 0.5" in note for note in table.notes)
    assert len(sweep_table(sweep_records(merge_studies([read_study(path)])[0])[:0]).notes) == 1


def test_other_parameters_are_no_sweep(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.3})
    write_cell(path, "easrec", 0, parameters={"space.dropout": 0.5})
    write_cell(path, "easrec", 0, parameters={"space.dropout": 0.5, "lambda": 1.0})
    assert sweep_records(merge_studies([read_study(path)])[0]) == []


def test_the_plot_says_in_words_what_it_shows(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.3}, sweep=(0.0, 1.0), seeds=(0, 1, 2))
    drawn = sweep_plot(sweep_records(merge_studies([read_study(path)])[0]), "fig4")
    assert "multiply-adds from 7.3 M to 2.3 M" in drawn.alt and "3 seeds" in drawn.caption
