"""``easrec recommend`` in this process: a history, a stream, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig, training
from easrec_nni.callbacks import save_weights
from easrec_nni.cli.main import app
from easrec_nni.networks import load_network


def make_run(folder: Path, **fields: Any) -> Path:
    """A folder as a retraining leaves it, with weights that nobody trained."""
    torch.manual_seed(0)
    space = SpaceConfig(n_items=30, max_length=6, hidden=8, inner=16, heads=2, layers=2, **fields)
    architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2), space=space)
    folder.mkdir()
    architecture.write(folder / "architecture.json")
    save_weights(load_network(architecture).state_dict(), folder / "weights.safetensors")
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(training, "use_threads", lambda threads: threads)
    return make_run(tmp_path / "retrained", positions="none")


def called(*words: object, lines: str | None = None) -> str:
    result = CliRunner().invoke(app, ["recommend", *map(str, words)], input=lines, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def top(run: Path, history: list[int], k: int) -> tuple[list[int], list[float]]:
    network = load_network(Architecture.read(run / "architecture.json"), run / "weights.safetensors").eval()
    with torch.inference_mode():
        scores, items = network(torch.tensor([history])).topk(k)
    return items[0].tolist(), scores[0].tolist()


def test_a_history_gives_the_networks_items(tmp_path: Path, run: Path, tiny_dataset: Dataset) -> None:
    default = make_run(tmp_path / "default")  # positions from the end: any network takes a history
    for each in (run, default):
        items, scores = top(each, [4, 9, 4], 3)
        rows = [line.split("\t") for line in called(each, "--history", "4, 9,4", "--k", 3, "--numbers").splitlines()]
        assert [int(row[0]) for row in rows] == items
        assert [float(row[1]) for row in rows] == pytest.approx(scores, abs=1e-4)
    names = ",".join(tiny_dataset.item_ids[[4, 9, 4]])
    given = called(run, "--history", names, "--k", 3, "--data", tiny_dataset.path).splitlines()
    assert [line.split("\t")[0] for line in given] == tiny_dataset.item_ids[top(run, [4, 9, 4], 3)[0]].tolist()


def test_what_the_user_had_can_be_left_out(run: Path) -> None:
    lines = called(run, "--history", "4,9,4", "--k", 30, "--numbers", "--unseen").splitlines()
    assert {int(line.split("\t")[0]) for line in lines} == set(range(1, 31)) - {4, 9}


def test_a_stream_answers_each_event_and_keeps_its_states(tmp_path: Path, run: Path) -> None:
    state = tmp_path / "users.safetensors"
    events = [{"user": "ann", "item": 4}, {"user": "bob", "item": "2"}, {"user": "ann", "item": 9, "k": 2}]
    text = "\n".join(map(json.dumps, events)) + "\n\n"
    answers = [
        json.loads(line)
        for line in called(run, "--stream", "--numbers", "--k", 3, "--state", state, lines=text).splitlines()
    ]
    assert [answer["user"] for answer in answers] == ["ann", "bob", "ann"]
    for answer, history, k in zip(answers, ([4], [2], [4, 9]), (3, 3, 2), strict=True):
        items, scores = top(run, history, k)
        assert answer["items"] == items and answer["scores"] == pytest.approx(scores, abs=1e-5)
    later = called(run, "--stream", "--numbers", "--state", state, lines='{"user": "ann", "item": 1}\n{"user": "bob"}')
    assert [json.loads(line)["items"] for line in later.splitlines()] == [
        top(run, [4, 9, 1], 10)[0],
        top(run, [2], 10)[0],
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ("[1]", "a line is an object"),
        ('{"item": 3}', "a line is an object"),
        ('{"user": "a", "itme": 3}', "a line is an object"),
        ('{"user": ["a"], "item": 3}', "texts or whole numbers"),
        ('{"user": "a", "item": null}', "texts or whole numbers"),
        ('{"user": "a", "item": 3.5}', "texts or whole numbers"),
        ('{"user": "a", "item": 31}', "item '31' is not among"),
        ('{"user": "a", "item": "one"}', "whole numbers"),
        ('{"user": "a", "item": 3, "k": "5"}', "k is a whole number"),
        ('{"user": "a", "item": 3, "k": 0}', "from 1 to 30"),
        ('{"user": "a"}', "no events of user 'a'"),
    ],
)
def test_a_line_that_cannot_be_taken_is_answered_and_the_stream_goes_on(run: Path, line: str, message: str) -> None:
    out = called(run, "--stream", "--numbers", lines=f'{line}\n{{"user": "b", "item": 3, "k": 1}}\n')
    first, second = map(json.loads, out.splitlines())
    assert message in first["error"] and second["items"] == top(run, [3], 1)[0]


def test_streams_leave_out_what_users_had(run: Path) -> None:
    out = called(run, "--stream", "--numbers", "--unseen", "--k", 30, lines='{"user": 1, "item": 3}')
    assert set(json.loads(out)["items"]) == set(range(1, 31)) - {3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either --history ITEM,… or --stream"),
        (["--history", "1", "--stream"], "either --history ITEM,… or --stream"),
        (["--history", "1", "--state", "x"], "--state belongs to --stream"),
        (["--history", "1"], "names no dataset"),
        (["--history", ",", "--numbers"], "a history of one item at least"),
        (["--history", "1", "--k", "31", "--numbers"], "k from 1 to 30"),
        (["--history", "1,99", "--numbers"], "item '99' is not among"),
        (["--history", "1,x", "--numbers"], "whole numbers"),
    ],
)
def test_mistakes_are_told_in_one_line(run: Path, words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["recommend", str(run), *words])
    assert result.exit_code == 2
    assert result.output.startswith("easrec: error: ") and message in result.output


def test_a_network_that_cannot_be_streamed_is_refused_with_what_to_train(tmp_path: Path, run: Path) -> None:
    default = make_run(tmp_path / "default")
    result = CliRunner().invoke(app, ["recommend", str(default), "--stream", "--numbers"])
    assert result.exit_code == 2 and "positions: none" in result.output and "streaming.yml" in result.output
