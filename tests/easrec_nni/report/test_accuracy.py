from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.figures import PROTOCOLS
from easrec_nni.report.accuracy import (
    accuracy_records,
    accuracy_table,
    best_of,
    published_table,
    recommended_table,
)
from easrec_nni.report.composing import compose
from easrec_nni.report.content import Paragraph, Row, Table
from easrec_nni.report.published import NOT_SHOWN
from easrec_nni.report.reading import read_study
from easrec_nni.report.sections import Section, merge_studies

WriteStudy = Callable[..., Path]
KEYS = [f"{metric}@10_{protocol}" for protocol in PROTOCOLS for metric in ("recall", "mrr", "ndcg")]


def _section(path: Path) -> Section:
    return merge_studies([read_study(path)])[0]


def _rows(section: Section) -> dict[str, Row]:
    return {row.hint: row for row in accuracy_table(accuracy_records(section)).rows}


def test_figures_are_means_and_deviations_over_seeds(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.2, "sasrec": 0.0})
    records = accuracy_records(_section(path))
    assert [record["system"] for record in records] == ["sasrec", "easrec"]
    for record in records:
        files = [path / "cells" / str(record["system"]) / f"seed{seed}" / "result.json" for seed in (0, 1, 2)]
        results = [json.loads(file.read_text())["test"] for file in files]
        for key in KEYS:
            values = [result[key] for result in results]
            assert record[key] == pytest.approx(statistics.fmean(values))
            assert record[f"{key}_sd"] == pytest.approx(statistics.stdev(values))
    easrec = _rows(_section(path))["easrec"].entries["ndcg@10_full"]
    assert (
        easrec.text == f"{records[1]['ndcg@10_full']:.4f}" and easrec.spread == f"± {records[1]['ndcg@10_full_sd']:.4f}"
    )


def test_a_far_better_system_is_bold_and_has_a_star_in_every_column(write_study: WriteStudy, tmp_path: Path) -> None:
    rows = _rows(
        _section(write_study(tmp_path / "s", {"easrec": 1.5, "sasrec": 0.0, "darts": 0.1}, users=400, seeds=range(5)))
    )
    for key in KEYS:
        assert rows["easrec"].entries[key].best and rows["easrec"].entries[key].star
        for other in ("sasrec", "darts"):
            assert not rows[other].entries[key].best and not rows[other].entries[key].star


def test_a_hardly_better_system_is_bold_without_a_star(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"easrec": 0.02, "sasrec": 0.0}, users=80))
    best = best_of(section.systems, "ndcg", "full")
    assert best is not None
    entries = {name: row.entries["ndcg@10_full"] for name, row in _rows(section).items()}
    assert entries[best.name].best and not any(entry.star for entry in entries.values())


def test_a_star_needs_the_next_best_beaten(write_study: WriteStudy, tmp_path: Path) -> None:
    systems = {"easrec": 1.5, "darts": 1.5, "sasrec": 0.0}
    rows = _rows(_section(write_study(tmp_path / "s", systems, users=400, seeds=range(5))))
    assert not any(row.entries[key].star for row in rows.values() for key in KEYS)


def test_without_ranks_nothing_is_tested(write_study: WriteStudy, tmp_path: Path) -> None:
    systems = {"easrec": 1.5, "sasrec": 0.0, "darts": 0.0}
    path = write_study(tmp_path / "s", systems, users=400, seeds=range(5))
    assert _rows(_section(path))["easrec"].entries["ndcg@10_full"].star
    for file in path.glob("cells/sasrec/*/ranks.npz"):
        file.unlink()
    rows = _rows(_section(path))
    assert rows["easrec"].entries["ndcg@10_full"].best and not rows["easrec"].entries["ndcg@10_full"].star


def test_published_figures_stand_beside_recboles_ranking_alone_and_nothing_is_bold(
    write_study: WriteStudy, tmp_path: Path
) -> None:
    systems = {"easrec": 2.5, "sasrec": 0.0, "tpe": 0.1}
    section = _section(write_study(tmp_path / "s", systems, users=400, seeds=range(5), dataset="gowalla"))
    records = accuracy_records(section)
    table = published_table(section, records)
    assert table is not None
    assert [column.key for column in table.columns if not column.published] == [
        f"{metric}@10_pop100_recbole" for metric in ("recall", "mrr", "ndcg")
    ]
    published = [column for column in table.columns if column.published]
    assert [column.group for column in published] == ["published, gowalla"] * 3
    assert [row.name for row in table.rows] == ["SASRec", "EASRec"], "systems that the paper has"
    easrec = table.rows[1].entries
    assert [easrec[column.key].text for column in published] == ["0.9199", "0.6715", "0.7317"]
    record = next(record for record in records if record["system"] == "easrec")
    key = "recall@10_pop100_recbole"
    assert easrec[key].text == f"{record[key]:.4f}"
    # Above the published figure, the best and more than chance: marked in Table III, and not here.
    entry = _rows(section)["easrec"].entries[key]
    assert float(record[key] or 0) > 0.9199 and entry.best and entry.star
    assert not any(entry.best or entry.star for row in table.rows for entry in row.entries.values())
    assert not any(column.published for column in accuracy_table(records).columns)
    unknown = _section(write_study(tmp_path / "t", {"tpe": 0.0, "random": 0.0}))
    assert published_table(unknown, accuracy_records(unknown)) is None


def test_results_made_before_recboles_ranking_are_shown_without_it_and_without_published_figures(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.2, "sasrec": 0.0})
    for cell in path.glob("cells/*/seed*"):
        result = json.loads((cell / "result.json").read_text())
        for part in ("test", "valid"):
            result[part] = {key: value for key, value in result[part].items() if not key.endswith("_recbole")}
        (cell / "result.json").write_text(json.dumps(result))
        with np.load(cell / "ranks.npz") as ranks:
            older = {name: ranks[name] for name in ranks if name != "test_pop100_recbole"}
        np.savez(cell / "ranks.npz", **older)
    section = _section(path)
    records = accuracy_records(section)
    assert not any("recbole" in column.key for column in accuracy_table(records).columns)
    assert published_table(section, records) is None
    blocks = [block for chapter in compose(section).chapters for block in chapter.blocks]
    assert NOT_SHOWN in [block.text for block in blocks if isinstance(block, Paragraph)]
    titles = [block.title for block in blocks if isinstance(block, Table)]
    assert any("pop100" in title for title in titles) and not any("recbole" in title for title in titles)
    # There is no mean of a system of which one seed alone has it.
    write_cell(path, "easrec", 3, strength=0.2)
    records = accuracy_records(_section(path))
    assert records[1]["ndcg@10_pop100_recbole"] is None and records[1]["ndcg@10_pop100"] is not None
    # Some of its metrics without the others are a damaged file.
    file = path / "cells" / "easrec" / "seed3" / "result.json"
    result = json.loads(file.read_text())
    del result["test"]["mrr@10_pop100_recbole"]
    file.write_text(json.dumps(result))
    with pytest.raises(UserError, match="mrr@10_pop100_recbole is missing"):
        read_study(path)


def test_ablations_and_sweeps_are_not_in_the_table(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"easrec": 0.1, "easrec-gates0": 0.1}, sweep=(0.5,)))
    assert _rows(section).keys() == {"easrec"}


def test_systems_with_fewer_seeds_are_named(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1})
    write_cell(path, "sasrec", 0)
    section = _section(path)
    table = accuracy_table(accuracy_records(section))
    assert "over 1 to 3 seeds" in table.notes[0] and table.notes[1] == "Fewer seeds than 3: SASRec (1)."
    assert table.rows[0].entries["ndcg@10_full"].spread == ""


def test_what_is_recommended_is_shown_where_it_was_recorded(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.5, "sasrec": 0.0})
    table = recommended_table(accuracy_records(_section(path)))
    assert table is not None
    assert table.rows[1].entries["coverage@10_full"].text == "45.0%"
    assert table.rows[1].entries["mean_popularity@10_full"].text == "140.0"
    records = accuracy_records(_section(path))
    for record in records:
        record["coverage@10_full"] = record["mean_popularity@10_full"] = None
    assert recommended_table(records) is None
