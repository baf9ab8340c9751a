from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from easrec_nni.report.ablations import (
    ablation_records,
    fixed_gate_records,
    fixed_gate_table,
    gate_records,
    gate_table,
    published_gate_table,
)
from easrec_nni.report.accuracy import compared_systems
from easrec_nni.report.chapters_runs import provenance_chapter
from easrec_nni.report.choices import budget_table, budget_warning, choices_table, typical_cell
from easrec_nni.report.composing import compose, warnings_of
from easrec_nni.report.content import Listing, Picture, Table
from easrec_nni.report.differences import difference_records, difference_table, noise_of, reference_of
from easrec_nni.report.histories import curves, is_one_shot, searched_architectures
from easrec_nni.report.reading import read_study
from easrec_nni.report.sections import Section, merge_studies

WriteStudy = Callable[..., Path]


def _section(path: Path) -> Section:
    return merge_studies([read_study(path)])[0]


def test_table_v_has_the_gates_in_order_and_what_they_change(write_study: WriteStudy, tmp_path: Path) -> None:
    systems = {"easrec-gates0": -0.5, "easrec": 0.5, "easrec-gates1": 0.5}
    section = _section(write_study(tmp_path / "s", systems, users=300, seeds=range(5)))
    records = gate_records(section)
    assert [record["gates"] for record in records] == ["gates of 2 layers", "gates of 1 layer", "no gates"]
    easrec, gates0 = section.system("easrec"), section.system("easrec-gates0")
    assert easrec is not None and gates0 is not None
    means = [system.measure("test", "ndcg@10_full") for system in (gates0, easrec)]
    assert records[2]["change"] == pytest.approx(means[0].mean - means[1].mean)  # type: ignore[union-attr]
    low, high = records[2]["change_low"], records[2]["change_high"]
    assert isinstance(low, float) and isinstance(high, float) and low < records[2]["change"] < high < 0  # type: ignore[operator]
    valid = easrec.measure("valid", "ndcg@10_pop100")
    assert valid is not None and records[0]["valid_ndcg@10_pop100"] == valid.mean
    assert records[0]["change"] is None and records[1]["published_ndcg@10"] == 0.4771
    published = published_gate_table(section, records)
    assert published is not None
    shown = [row.entries for row in published.rows]
    assert [entries["published_ndcg@10"].text for entries in shown] == ["0.4910", "0.4771", "0.4615"]
    for entries, name in zip(shown, ("easrec", "easrec-gates1", "easrec-gates0"), strict=True):
        cells = section.system(name)
        recbole = cells.measure("valid", "ndcg@10_pop100_recbole") if cells else None
        assert recbole is not None and entries["valid_ndcg@10_pop100_recbole"].text == f"{recbole.mean:.4f}"
    table = gate_table(records)
    assert not any(column.published for column in table.columns)
    assert table.rows[2].entries["change"].text.startswith("−0.") and table.rows[0].entries["change"].text == "–"
    assert ", p " in table.rows[2].entries["change"].spread
    assert [row.entries["change"].star for row in table.rows] == [False, False, True]
    assert records[2]["change_is_told_apart"] is True and records[1]["change_is_told_apart"] is False


def test_gates_without_a_search_are_set_against_none(write_study: WriteStudy, tmp_path: Path) -> None:
    systems = {"unpruned-gamma4": -0.5, "unpruned": 0.5, "unpruned-gates0": 0.5, "easrec": 0.9, "easrec-gates0": 0.9}
    section = _section(write_study(tmp_path / "s", systems, users=300, seeds=range(5)))
    records = fixed_gate_records(section)
    assert [record["system"] for record in records] == ["unpruned-gates0", "unpruned", "unpruned-gamma4"]
    none, gamma4 = section.system("unpruned-gates0"), section.system("unpruned-gamma4")
    assert none is not None and gamma4 is not None
    means = [system.measure("test", "ndcg@10_full") for system in (gamma4, none)]
    assert records[0]["change"] is None
    assert records[2]["change"] == pytest.approx(means[0].mean - means[1].mean)  # type: ignore[union-attr]
    assert [record["change_is_told_apart"] for record in records[1:]] == [False, True]
    table = fixed_gate_table(records)
    assert any(column.title == "change to no gates, NDCG@10 full" for column in table.columns)
    assert "difference to the network without gates" in table.notes[0]
    # The largest network stands beside EASRec too; the others do not.
    assert [record["system"] for record in ablation_records(section)] == ["easrec", "unpruned"]
    assert {"gates", "fixed-gates", "ablations"} <= {chapter.key for chapter in compose(section).chapters}


def test_gates_of_one_kind_have_no_chapter(write_study: WriteStudy, tmp_path: Path) -> None:
    assert fixed_gate_records(_section(write_study(tmp_path / "s", {"unpruned": 0.1, "easrec": 0.1}))) == []


def test_the_search_without_warm_up_is_drawn_beside_the_other(write_study: WriteStudy, tmp_path: Path) -> None:
    content = compose(_section(write_study(tmp_path / "s", {"easrec": 0.1, "easrec-no-warmup": 0.1})))
    names = [block.name for chapter in content.chapters for block in chapter.blocks if isinstance(block, Picture)]
    assert "search-options" in names and "search-options-no-warmup" in names


def test_ablations_need_something_to_compare(write_study: WriteStudy, tmp_path: Path) -> None:
    alone = _section(write_study(tmp_path / "s", {"easrec": 0.1, "sasrec": 0.0}))
    assert gate_records(alone) == [] and ablation_records(alone) == []
    some = _section(write_study(tmp_path / "t", {"easrec": 0.1, "easrec-static": 0.1, "easrec-gates0": 0.1}))
    assert [record["system"] for record in ablation_records(some)] == ["easrec", "easrec-static"]
    without = _section(write_study(tmp_path / "u", {"easrec-static": 0.1, "unpruned": 0.1}))
    assert [record["change"] for record in ablation_records(without)] == [None, None]


def test_the_reference_is_easrec_or_else_the_best(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"easrec": -0.9, "sasrec": 0.0, "popularity": -1.5}, users=300))
    systems = compared_systems(section)
    assert reference_of(systems, "full") is section.system("easrec")
    assert reference_of([system for system in systems if system.name != "easrec"], "full") is section.system("sasrec")
    assert reference_of([], "full") is None


def test_differences_say_who_is_better_and_noise_how_large_chance_is(write_study: WriteStudy, tmp_path: Path) -> None:
    systems = {"easrec": 1.0, "sasrec": -0.5, "darts": 1.0, "recnas": 2.5}
    section = _section(write_study(tmp_path / "s", systems, users=300, seeds=range(5)))
    reference = section.system("easrec")
    assert reference is not None
    records = difference_records(reference, compared_systems(section))
    verdicts = {record["system"]: record["verdict_full"] for record in records}
    assert verdicts == {"sasrec": "better", "darts": "cannot be told apart", "recnas": "worse"}
    for protocol in ("full", "pop100", "pop100_recbole"):
        sasrec, _, recnas = (row.entries for row in difference_table(reference, records, protocol).rows)
        assert sasrec["difference"].text.startswith("+0.") and sasrec["difference"].spread.endswith("%")
        assert " to +0." in sasrec["users"].text and " to +0." in sasrec["seeds"].text
        assert (sasrec["p"].value or 1) < 0.05 and (sasrec["effect"].value or 0) > 1
        assert recnas["difference"].text[0] == "−" and recnas["verdict"].text == "worse"
    noise = noise_of(compared_systems(section), records, "full")
    best = section.system("recnas")
    assert noise is not None and best is not None
    assert noise.users == 300 and noise.error == best.user_error("ndcg", "full")
    assert noise.share == pytest.approx(noise.error / noise.mean)
    halves = [
        max((float(r[f"{name}_high_full"] or 0) - float(r[f"{name}_low_full"] or 0)) / 2 for name in ("users", "seeds"))
        for r in records
    ]
    assert noise.interval == pytest.approx(sorted(halves)[1])


def test_with_one_seed_nothing_is_called_better(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"easrec": 1.5, "sasrec": 0.0}, users=300, seeds=(0,)))
    reference = section.system("easrec")
    assert reference is not None
    (record,) = difference_records(reference, compared_systems(section))
    assert record["verdict_full"] == "not tested: too few seeds" and record["p_full"] is None
    assert isinstance(record["users_low_full"], float) and record["users_low_full"] > 0
    entries = difference_table(reference, [record], "full").rows[0].entries
    assert entries["seeds"].text == entries["p"].text == entries["effect"].text == "–"


def test_choices_by_seed_and_the_typical_one(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"easrec": 0.1, "sasrec": 0.0}))
    table = choices_table(section)
    assert table is not None and [row.name for row in table.rows] == ["EASRec"]
    texts = [table.rows[0].entries[f"seed{seed}"].text for seed in (0, 1, 2)]
    entropies = r" \(α \d\.\d\d, β \d\.\d\d, undecided\)"
    for text, choice in zip(texts, ["2 layers, 0% / 50%", "2 layers, 25% / 50%", "2 layers, 0% / 50%"], strict=True):
        assert re.fullmatch(re.escape(choice) + entropies, text)
    cell = typical_cell(section.systems[1])
    assert cell is not None and cell.result.seed == 0
    assert typical_cell(section.systems[0]) is None
    assert choices_table(_section(write_study(tmp_path / "t", {"sasrec": 0.0}))) is None


def test_budgets_are_shown_and_unequal_ones_warned_of(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1, "sasrec": 0.0, "popularity": 0.0})
    section = _section(path)
    assert budget_warning(section.systems) is None
    assert "validation metric (ndcg@10_full)" in budget_table(section).notes[0], "as in files of earlier versions"
    rows = {row.hint: row.entries for row in budget_table(section).rows}
    assert [rows["easrec"][key].text for key in ("search", "retrain", "search_run", "best")] == [
        "8",
        "16",
        "8.0",
        "11.0",
    ]
    assert [rows["sasrec"][key].text for key in ("search", "retrain", "batch")] == ["0", "24", "32"]
    assert [rows["popularity"][key].text for key in ("search", "retrain", "batch", "best")] == ["–"] * 4
    more = {"search_epochs": 8, "retrain_epochs": 99, "patience": 10, "batch_size": 32, "hyperparameter_trials": 1}
    write_cell(path, "darts", 0, changes={"budget": more, "settings": {"select_by": "ndcg@10_unseen"}})
    assert "(ndcg@10_full, ndcg@10_unseen)" in budget_table(_section(path)).notes[0]
    warning = budget_warning(_section(path).systems)
    assert warning is not None and "107 epochs, batches of 32, 1 hyper-parameter setting: DARTS + SASRec" in warning
    assert "24 epochs" in warning and "popularity" not in warning


def test_histories_of_one_shot_searches_are_told_from_those_by_trials(write_study: WriteStudy, tmp_path: Path) -> None:
    section = _section(write_study(tmp_path / "s", {"easrec": 0.1, "tpe": 0.0, "sasrec": 0.0}))
    sasrec, easrec, tpe = section.systems
    assert is_one_shot(easrec.cells[0]) and not is_one_shot(tpe.cells[0]) and not is_one_shot(sasrec.cells[0])
    costs = curves(easrec, "search", "expected_cost")
    assert sorted(costs) == [0, 1, 2] and [epoch for epoch, _ in costs[1]] == list(range(8))
    assert curves(easrec, "search", "no such figure") == {} and curves(sasrec, "search", "expected_cost") == {}
    assert len(curves(sasrec, "training", "ndcg@10_full")[0]) == 16
    assert sorted(searched_architectures(easrec.cells)) == [0, 1, 2] and searched_architectures(sasrec.cells) == {}


def test_provenance_counts_versions_and_commits_and_shows_the_settings(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1})
    write_cell(path, "sasrec", 0, changes={"commit": "ffff+changes"})
    section = _section(path)
    blocks = provenance_chapter(section).blocks
    versions = next(block for block in blocks if isinstance(block, Table) and block.title == "Versions")
    texts = {row.name: row.entries["version"].text for row in versions.rows}
    assert texts["torch"] == "2.13.0+cpu" and texts["commit"] == "af80ed3d9411 (3 cells); ffff+changes (1 cell)"
    listing = next(block for block in blocks if isinstance(block, Listing))
    assert json.loads(listing.text) == section.studies[0].document.settings
    studies = next(block for block in blocks if isinstance(block, Table) and block.title == "Studies")
    entries = studies.rows[0].entries
    assert (entries["cells"].text, entries["unfinished"].text, entries["budget"].text) == ("4", "0", "small")


def test_a_reader_is_warned_of_unfinished_cells_and_single_seeds(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"popularity": 0.1, "itemknn": 0.0, "sasrec": 0.0}, seeds=(0, 1))
    assert warnings_of(_section(path)) == []
    (path / "cells" / "sasrec" / "seed1" / "result.json").unlink()
    unfinished, single = warnings_of(_section(path))
    assert unfinished.startswith("1 of 6 cells are not finished and not in any figure: sasrec/seed1.")
    assert single == "Single seed, so the run-to-run variance is unknown: SASRec."


def test_a_reader_is_warned_of_studies_with_other_settings(write_study: WriteStudy, tmp_path: Path) -> None:
    one = write_study(tmp_path / "one", {"easrec": 0.0})
    two = write_study(tmp_path / "two", {"sasrec": 0.0})
    assert warnings_of(merge_studies([read_study(one), read_study(two)])[0]) == []
    document = json.loads((two / "study.json").read_text())
    document["settings"]["search"] |= {"epochs": 99, "noise": False}
    (two / "study.json").write_text(json.dumps(document))
    (warning,) = warnings_of(merge_studies([read_study(one), read_study(two)])[0])
    assert warning.startswith("The studies in this section differ in search.epochs, search.noise:")


def test_a_study_of_baselines_alone_has_no_chapters_about_searches(write_study: WriteStudy, tmp_path: Path) -> None:
    content = compose(_section(write_study(tmp_path / "s", {"popularity": 0.1, "itemknn": 0.0})))
    assert [chapter.key for chapter in content.chapters] == ["accuracy", "differences", "cost", "made"]


def test_two_kinds_of_validation_negatives_are_warned_of(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1})
    assert not any("not comparable" in warning for warning in warnings_of(_section(path)))
    write_cell(path, "sasrec", 0, changes={"negatives_version": 2})
    assert any("uni100 are not comparable between all cells" in warning for warning in warnings_of(_section(path)))
