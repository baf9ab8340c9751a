"""Reuse of completed demo steps. ``make demo`` runs the whole demo."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from easrec_nni.cli import demo_steps
from easrec_nni.cli.demo_steps import STATE_FILE, Demo
from easrec_nni.common.errors import UserError
from easrec_nni.report.comparison import ComparisonRow, read_run


class RecordingDemo(Demo):
    """Demo that records its retrainings and writes their figures without training."""

    calls: list[tuple[str, bool]]
    killed = False

    def call(self, module: str, *options: str) -> None:
        folder = Path(options[options.index("--out") + 1])
        assert module == "easrec_nni.retrain" and ("--scratch" in options) == (folder.name == "unpruned")
        self.calls.append((folder.name, "--restart" in options))
        if self.killed:
            raise KeyboardInterrupt
        (folder / "metrics.json").write_text("{}")


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordingDemo:
    monkeypatch.setattr(demo_steps, "read_run", lambda name, file: ComparisonRow(name, {}))
    for name in ("architecture.json", "unpruned.json"):
        (tmp_path / name).write_text(name)
    made = RecordingDemo(tmp_path, 8080, None, Console(file=io.StringIO(), width=200))
    made.calls = []
    return made


def test_a_retraining_is_done_once_for_the_same_architecture_settings_and_data(demo: RecordingDemo) -> None:
    assert [row.name for row in demo.retrain("data")] == ["searched", "unpruned"]
    demo.retrain("data")
    assert demo.calls == [("searched", True), ("unpruned", True)]
    (demo.out / "architecture.json").write_text("another")
    demo.retrain("data")
    assert demo.calls[2:] == [("searched", True)], "the architecture changed"
    demo.retrain("other data")
    assert demo.calls[3:] == [("searched", True), ("unpruned", True)]


def test_a_retraining_that_was_interrupted_goes_on_and_a_fresh_demo_does_not(
    demo: RecordingDemo, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.killed = True
    with pytest.raises(KeyboardInterrupt):
        demo.retrain("data")
    demo.killed = False
    demo.retrain("data")
    assert demo.calls == [("searched", True), ("searched", False), ("unpruned", True)]
    monkeypatch.setattr(Demo, "run", lambda self: None)
    (demo.out / STATE_FILE).write_text("{}")
    demo_steps.run_demo(demo.out, fresh=True)
    assert not (demo.out / STATE_FILE).exists() and (demo.out / "searched" / "metrics.json").exists()
    demo.retrain("data")
    assert demo.calls[3:] == [("searched", True), ("unpruned", True)]


def test_refitted_figures_are_compared_in_columns_of_their_own(demo: RecordingDemo) -> None:
    """With ``retrain.refit`` in the settings, `easrec retrain` writes both kinds."""
    rows = []
    for name, ndcg in (("searched", 0.1), ("unpruned", 0.2)):
        file = demo.out / f"{name}.json"
        both = {"test": {"ndcg@10_full": ndcg}, "test_refitted": {"ndcg@10_full_refitted": 2 * ndcg}}
        file.write_text(json.dumps(both))
        rows.append(read_run(name, file))
    demo.compare([*rows, ComparisonRow("popularity", {"ndcg@10_full": 0.05})])
    assert (demo.out / "comparison.csv").read_text().splitlines() == [
        "network,ndcg@10_full,ndcg@10_full_refitted",
        "searched,0.1,0.2",
        "unpruned,0.2,0.4",
        "popularity,0.05,",
    ]


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
    demo: RecordingDemo, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(demo.out))
    assert demo.earlier(demo.out / STATE_FILE, "same") is None
    (demo.out / STATE_FILE).write_text(text)
    assert demo.earlier(demo.out / STATE_FILE, "same") is None


def test_a_step_that_fails_is_named(demo: RecordingDemo) -> None:
    with pytest.raises(UserError, match="python -m easrec_nni.retrain ended with exit code 2"):
        Demo.call(demo, "easrec_nni.retrain", "--no-such-option")
