"""The demo: a whole one on a tiny log under a real nnictl, what it takes from an earlier run, and its data."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from easrec_nni.architecture.document import Architecture
from easrec_nni.cli import demo_steps
from easrec_nni.cli.demo_steps import STATE_FILE, Demo, choose, conclude, earlier, run_demo
from easrec_nni.evaluation.judgement import Judgement
from easrec_nni.experiments.experiment import Trial
from easrec_nni.experiments.manager import free_port
from easrec_nni.report.judgements import judged_trials
from easrec_nni.retraining.metrics import read_metrics
from tests.experiments import SMALL_SPACE, experiment_document


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path / "results", 8080, Console(file=io.StringIO(), width=200))


def printed(demo: Demo) -> str:
    file = demo.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.fixture
def tiny_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's example with two small trials."""
    folder = tmp_path / "examples"
    (folder / "settings").mkdir(parents=True)
    settings = {
        "space": SMALL_SPACE,
        "search": {"epochs": 2, "batch_size": 8},
        "retrain": {"epochs": 2, "batch_size": 8},
        "judge": {"unpruned": True, "margin": 0.9},
    }
    (folder / "settings" / "demo.yml").write_text("data: demo\n" + yaml.safe_dump(settings))
    searched = {"lambda": {"_type": "choice", "_value": [0.0, 1.0]}}
    command = "python3 -m easrec_nni.trial --settings settings/demo.yml"
    document = experiment_document(searchSpace=searched, trialCommand=command, maxTrialNumber=2)
    (folder / "demo.yml").write_text(yaml.safe_dump(document))
    monkeypatch.setattr(demo_steps, "examples_folder", lambda: folder)
    return folder


@pytest.fixture
def tiny_movielens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of 40 users and 30 films in the form of MovieLens-100K, which the demo itself prepares."""
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(40):
        items = rng.permutation(30)[:18]
        lines += [f"u{user}\ti{item}\t5\t{880_000_000 + place}" for place, item in enumerate(items)]
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "ml-100k.inter").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("nni_home", "tiny_examples")
def test_a_demo_ends_with_the_judgement_and_takes_it_from_the_earlier_run(
    tmp_path: Path, tiny_movielens: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    run_demo(out, free_port(18900), tiny_movielens)
    first = capsys.readouterr().out
    assert "checked on the test users:" in first and "4/4" in first
    names = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()}
    assert {"judgement.png", "judgement.svg", "comparison.csv", "comparison.md", "architecture.json"} <= names
    assert (out / "judgement.png").read_bytes().startswith(b"\x89PNG")
    unpruned = Architecture.read(out / "unpruned" / "architecture.json")
    assert unpruned.choices == unpruned.space.largest
    assert (
        Architecture.read(out / "searched" / "architecture.json").choices
        == Architecture.read(out / "architecture.json").choices
    )
    assert read_metrics(out / "unpruned").training.weights == "scratch"
    with (out / "comparison.csv").open(newline="") as file:
        rows = {row["network"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["searched", "unpruned", "popularity"]
    assert float(rows["searched"]["ndcg@10_unseen"]) > 0 and float(rows["popularity"]["ndcg@10_unseen"]) > 0
    (out / "judgement.png").unlink()
    run_demo(out, free_port(18900), tiny_movielens)
    second = capsys.readouterr().out
    assert "reusing experiment" in second and (out / "judgement.png").is_file()
    assert first.splitlines()[-6:-3] == second.splitlines()[-6:-3]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"id": "gone1234", "made_from": "other"}),
        json.dumps({"id": 3, "made_from": "same"}),
    ],
    ids=["empty", "cut", "list", "no keys", "other data", "no such experiment"],
)
def test_an_experiment_that_cannot_be_taken_is_run_again(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert earlier(tmp_path / STATE_FILE, "same") is None
    (tmp_path / STATE_FILE).write_text(text)
    assert earlier(tmp_path / STATE_FILE, "same") is None


def trial(number: int, verdict: str, difference: float, cost: float) -> Trial:
    judged = Judgement(
        verdict=verdict, figure="ndcg@10_full", users=900, value=0.1 * (1 + difference), unpruned=0.1,
        difference=difference, low=difference - 0.02, high=difference + 0.02, margin=0.02,
    )  # fmt: skip
    final = {**judged.keys("valid_selection_"), **judged.keys("test_"), "default": judged.value}
    final |= {"madds_per_user": cost, "unpruned_madds_per_user": 10.0}
    return Trial(f"t{number}", number, "SUCCEEDED", {}, Path("/nowhere"), (), final)


@pytest.mark.parametrize(
    ("verdicts", "chosen", "words"),
    [
        (("lost", "kept", "kept"), 1, "trial 1 has the smallest network that keeps"),
        (("lost", "lost", "cannot tell"), 2, "no network of 3 trials was shown to keep"),
    ],
)
def test_the_smallest_that_keeps_the_accuracy_is_chosen_else_the_best_and_it_is_said(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, verdicts: tuple[str, ...], chosen: int, words: str
) -> None:
    trials = [trial(n, verdict, 0.01 * n - 0.03, 2.0 + n) for n, verdict in enumerate(verdicts)]
    exported: list[str] = []

    def export(experiment: str, out: Path, trial_id: str, weights: bool) -> None:
        exported.append(trial_id)
        raise KeyboardInterrupt  # what follows only copies files

    monkeypatch.setattr(demo_steps, "export_architecture", export)
    judged = judged_trials(trials)
    with pytest.raises(KeyboardInterrupt):
        choose(demo, "abcd1234", judged)
    assert exported == [f"t{chosen}"]
    conclude(demo, judged, next(each for each in judged if each.trial.number == chosen))
    assert words in printed(demo) and f"checked on the test users: {verdicts[chosen]}" in printed(demo)
    picture = (demo.out / "judgement.svg").read_text()
    assert all(f"trial {n}: {verdict}" in picture for n, verdict in enumerate(verdicts)) and "unpruned" in picture
