"""NNI experiments in the report, from files as NNI writes them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from easrec_nni.cli.main import app
from easrec_nni.evaluation.judgement import Judgement
from easrec_nni.experiments.experiment import Trial
from easrec_nni.report import experiments, write_report
from easrec_nni.report.experiments import experiment_content, is_experiment, trial_records


def final(ndcg: float, madds: float, **more: Any) -> dict[str, Any]:
    result = {"default": ndcg, "valid_ndcg@10_full": ndcg, "madds_per_user": madds, "depth": 2, "architecture": "{}"}
    result |= {f"test_{name}@10_full": ndcg * 0.9 for name in ("ndcg", "recall", "mrr")}
    return {**result, "parameters": 1234, "files_at": "worker:/secret", "pruning": "hidden0_inner50", **more}


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Export of two trials, as written by `nnictl experiment export --type json`."""
    entries = [
        {"parameter": {"lambda": value}, "value": json.dumps(final(ndcg, madds)), "trialJobId": name}
        for name, value, ndcg, madds in (("aaaaa", 0.1, 0.05, 4e6), ("bbbbb", 1.0, 0.04, 1e6))
    ]
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(entries))
    return file


def test_a_file_of_results_becomes_a_page(exported: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(exported), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<h1>NNI experiment sweep</h1>" in page
    assert (
        "2 of 2 trials ended with a result. The best by what was maximised is trial 0, λ = 0.1: 0.0500 at 4.0 M" in page
    )
    assert "worker:/secret" not in page
    with (tmp_path / "out" / "trials.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [(row["id"], row["sampled_lambda"], row["madds_per_user"]) for row in rows] == [
        ("aaaaa", "0.1", "4000000.0"),
        ("bbbbb", "1.0", "1000000.0"),
    ]
    assert "architecture" not in rows[0] and rows[0]["pruning"] == "hidden0_inner50"
    assert (tmp_path / "out" / "plots" / "accuracy-cost.svg").is_file()


def test_judged_trials_have_a_chapter_with_the_choice_and_a_picture(tmp_path: Path) -> None:
    entries = []
    for name, verdict, difference, madds in (("aaaaa", "kept", -0.004, 4e6), ("bbbbb", "lost", -0.12, 1e6)):
        judged = Judgement(
            verdict=verdict, figure="ndcg@10_full", users=5000, value=0.1 * (1 + difference), unpruned=0.1,
            difference=difference, low=difference - 0.01, high=difference + 0.01, margin=0.02,
        )  # fmt: skip
        keys = {**judged.keys("valid_selection_"), **judged.keys("test_"), "unpruned_madds_per_user": 8e6}
        value = json.dumps(final(0.05, madds, unpruned_run="/secret/unpruned", **keys))
        entries.append({"parameter": {"lambda": 0.1}, "value": value, "trialJobId": name})
    (tmp_path / "judged.json").write_text(json.dumps(entries))
    done = CliRunner().invoke(app, ["report", str(tmp_path / "judged.json"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Trial 0 has the smallest network that keeps the unpruned network" in page and "/secret" not in page
    assert "Is the accuracy kept?" in page and "−13.0 % to −11.0 %" in page and "50%" in page
    assert (tmp_path / "out" / "plots" / "judgement.svg").is_file()


def test_a_study_and_an_experiment_stand_on_one_page(
    exported: Path, tmp_path: Path, write_study: Callable[..., Path]
) -> None:
    study = write_study(tmp_path / "study", {"easrec": 0.1, "sasrec": 0.0}, seeds=(0,))
    page = write_report([study, exported, exported], tmp_path / "out").read_text(encoding="utf-8")
    assert "<h1>EASRec and others on ml-100k; NNI experiment sweep</h1>" in page
    assert page.count("<h2>NNI experiment sweep</h2>") == 1  # though it was given twice
    anchors = re.findall(r' id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))
    assert {"results.csv", "trials.csv"} <= {file.name for file in (tmp_path / "out").iterdir()}


def test_what_is_taken_for_an_experiment(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert is_experiment(exported) and is_experiment("hx3kq8ay")
    assert not is_experiment(tmp_path) and not is_experiment("../hx3kq8ay") and not is_experiment("studies/ml-100k")
    for words, message in (
        (["hx3kq8ay"], "NNI has no experiment 'hx3kq8ay'"),
        (["studies/none"], "is not a study folder"),
        ([str(tmp_path)], "is not a study folder"),
    ):
        done = CliRunner().invoke(app, ["report", *words])
        assert done.exit_code == 2 and message in done.output
    assert not (tmp_path / "report-hx3kq8ay").exists()


def trial(number: int, tmp_path: Path, status: str = "SUCCEEDED", **more: Any) -> Trial:
    folder = tmp_path / f"t{number}"
    folder.mkdir()
    return Trial(f"id{number}", number, status, {"lambda": 0.1 * number}, folder, **more)


def test_curves_reasons_and_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = [
        {"phase": phase, "epoch": epoch, "ndcg@10_full": 0.1} for phase in ("search", "retrain") for epoch in (0, 1)
    ]
    strange = ({"phase": "search", "epoch": "x", "ndcg@10_full": 0.1}, {"phase": "search", "epoch": 1})
    trials = [
        trial(0, tmp_path, final=final(-0.2, 4e6, feasible=0), intermediate=(*reports, *strange)),
        trial(1, tmp_path, "FAILED"),
        trial(2, tmp_path, "RUNNING", intermediate=strange),
        trial(3, tmp_path, "EARLY_STOPPED", intermediate=tuple(reports[:1])),
    ]
    (trials[1].folder / "trial.stderr").write_text("Traceback\n\x1b[31merror: the disk is full\n")
    monkeypatch.setattr(experiments, "trials_of", lambda source: trials)
    content = experiment_content("hx3kq8ay")
    assert [chapter.key for chapter in content.chapters] == ["trials", "curves", "failed"]
    rows = {row.name: row.entries for row in content.chapters[2].blocks[1].rows}
    assert rows["trial 1, λ = 0.1"]["reason"].text == r"\x1b[31merror: the disk is full"
    assert rows["trial 3, λ = 0.30000000000000004"]["status"].text == "early_stopped"
    assert [block.name for block in content.chapters[1].blocks] == ["training-search", "training-retrain"]
    assert any("1 trials have not ended" in warning for warning in content.warnings)
    assert any("No trial is below the requested cost ceiling" in warning for warning in content.warnings)
    assert content.verdict.startswith("1 of 4 trials ended with a result.")


def test_hostile_results_are_text(tmp_path: Path) -> None:
    record = trial_records(
        "x", [trial(0, tmp_path, final={"default": 0.1, "trial": "<b>", "a": ["<script>"] * 999, "status": "fine"})]
    )[0]
    assert record["trial"] == 0 and record["status"] == "SUCCEEDED"  # a result does not replace what NNI knows
    assert isinstance(record["a"], str) and len(record["a"]) <= 200
