"""``easrec recommend``: histories, streams, mistakes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig, StreamingRecommender
from easrec_nni.architecture.weights import load_network, save_weights
from easrec_nni.cli.main import app
from easrec_nni.cli.recommend import _items
from easrec_nni.data import PrepareSettings, prepare


def make_run(folder: Path, **fields: Any) -> Path:
    """Folder of a retrained network, with random weights."""
    torch.manual_seed(0)
    space = SpaceConfig(n_items=30, max_length=6, hidden=8, inner=16, heads=2, layers=2, **fields)
    architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2), space=space)
    folder.mkdir()
    architecture.write(folder / "architecture.json")
    save_weights(load_network(architecture).state_dict(), folder / "weights.safetensors")
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("easrec_nni.training.threads.use_threads", lambda threads: threads)
    return make_run(tmp_path / "retrained", positions="none")


@contextmanager
def standard_files(text: str | bytes) -> Iterator[IO[bytes]]:
    """Redirect this process's standard input and output descriptors to files."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink:
        source.write(text.encode() if isinstance(text, str) else text)
        source.seek(0)
        before = [os.dup(number) for number in (0, 1)]
        try:
            for number, file in enumerate((source, sink)):
                os.dup2(file.fileno(), number)
            yield sink
        finally:
            for number, copy in enumerate(before):
                os.dup2(copy, number)
                os.close(copy)


def recommend(*words: object, lines: str | bytes | None = None, stderr: list[str] | None = None) -> str:
    """Output of ``easrec recommend``; lines on standard error are appended to ``stderr``."""
    with standard_files(lines or "") as sink:
        result = CliRunner().invoke(app, ["recommend", *map(str, words)], catch_exceptions=False)
        sink.seek(0)
        answers = sink.read().decode()
    assert result.exit_code == 0, result.output
    if stderr is not None:
        stderr += result.stderr.splitlines()
    return result.stdout if lines is None else answers


def top(run: Path, history: list[int], k: int) -> tuple[list[int], list[float]]:
    network = load_network(Architecture.read(run / "architecture.json"), run / "weights.safetensors").eval()
    with torch.inference_mode():
        scores, items = network(torch.tensor([history])).topk(k)
    return items[0].tolist(), scores[0].tolist()


def test_a_history_gives_the_networks_items(tmp_path: Path, run: Path, tiny_dataset: Dataset) -> None:
    default = make_run(tmp_path / "default")  # positions from the end: any network takes a history
    for folder in (run, default):
        items, scores = top(folder, [4, 9, 4], 3)
        rows = [
            line.split("\t") for line in recommend(folder, "--history", "4, 9,4", "--k", 3, "--numbers").splitlines()
        ]
        assert [int(row[0]) for row in rows] == items
        assert [float(row[1]) for row in rows] == pytest.approx(scores, abs=1e-4)
    names = ",".join(tiny_dataset.item_ids[[4, 9, 4]])
    given = recommend(run, "--history", names, "--k", 3, "--data", tiny_dataset.path).splitlines()
    assert [line.split("\t")[0] for line in given] == tiny_dataset.item_ids[top(run, [4, 9, 4], 3)[0]].tolist()


def test_what_the_user_had_can_be_left_out(run: Path) -> None:
    lines = recommend(run, "--history", "4,9,4", "--k", 30, "--numbers", "--unseen").splitlines()
    assert {int(line.split("\t")[0]) for line in lines} == set(range(1, 31)) - {4, 9}


def test_a_stream_answers_each_event_and_keeps_its_states(tmp_path: Path, run: Path) -> None:
    state = tmp_path / "users.safetensors"
    events = [{"user": "ann", "item": 4}, {"user": "bob", "item": "2"}, {"user": "ann", "item": 9, "k": 2}]
    text = "\n".join(map(json.dumps, events)) + "\n\n"
    answers = [
        json.loads(line)
        for line in recommend(run, "--stream", "--numbers", "--k", 3, "--state", state, lines=text).splitlines()
    ]
    assert [answer["user"] for answer in answers] == ["ann", "bob", "ann"]
    for answer, history, k in zip(answers, ([4], [2], [4, 9]), (3, 3, 2), strict=True):
        items, scores = top(run, history, k)
        assert answer["items"] == items and answer["scores"] == pytest.approx(scores, abs=1e-5)
    later = recommend(
        run, "--stream", "--numbers", "--state", state, lines='{"user": "ann", "item": 1}\n{"user": "bob"}'
    )
    assert [json.loads(line)["items"] for line in later.splitlines()] == [
        top(run, [4, 9, 1], 10)[0],
        top(run, [2], 10)[0],
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ("[1]", "expected an object such as"),
        ('{"item": 3}', "expected an object such as"),
        ('{"user": "a", "itme": 3}', "expected an object such as"),
        ('{"user": ["a"], "item": 3}', "strings or integers"),
        ('{"user": "a", "item": null}', "strings or integers"),
        ('{"user": "a", "item": 3.5}', "strings or integers"),
        ('{"user": "a", "item": 31}', "item '31' is not among"),
        ('{"user": "a", "item": "one"}', "whole numbers"),
        ('{"user": "a", "item": 3, "k": "5"}', "k must be an integer"),
        ('{"user": "a", "item": 3, "k": 0}', "from 1 to 30"),
        ('{"user": "a"}', "no events of user 'a'"),
    ],
)
def test_a_line_that_cannot_be_taken_is_answered_and_the_stream_goes_on(run: Path, line: str, message: str) -> None:
    out = recommend(run, "--stream", "--numbers", lines=f'{line}\n{{"user": "b", "item": 3, "k": 1}}\n')
    first, second = map(json.loads, out.splitlines())
    assert message in first["error"] and second["items"] == top(run, [3], 1)[0]


def test_streams_leave_out_what_users_had(run: Path) -> None:
    out = recommend(run, "--stream", "--numbers", "--unseen", "--k", 30, lines='{"user": 1, "item": 3}')
    assert set(json.loads(out)["items"]) == set(range(1, 31)) - {3}


def test_lines_that_could_not_be_taken_are_counted_at_the_end(tmp_path: Path, run: Path) -> None:
    text = (
        b'\xef\xbb\xbf{"user": "a", "item": 3}\r\n\xff\xfe\n{"user": "a", "item": 99}\n\n{"user": %s}\n{"user": "a"}'
        % (b"1" * 5000)
    )
    stderr: list[str] = []
    out = recommend(run, "--stream", "--numbers", "--state", tmp_path / "states", lines=text, stderr=stderr)
    first, *invalid, last = map(json.loads, out.splitlines())
    assert first["items"] == last["items"] == top(run, [3], 10)[0]
    assert [answer["error"] for answer in invalid] == [
        "this is not UTF-8 text",
        "item '99' is not among the network's 30 items: leave it out, or retrain with it",
        "this is not a JSON object that can be parsed: nested too deeply, or a number is too long",
    ]
    assert stderr == [
        f"easrec: no states yet: {tmp_path / 'states'} will be created",
        f"easrec: answered 5 lines, 3 of them with an error; states of 1 user, 1 event are in {tmp_path / 'states'}",
    ]


def test_a_file_of_states_brings_its_settings(tmp_path: Path, run: Path) -> None:
    state = tmp_path / "states"
    saved = StreamingRecommender.load(run, numbers=True, precision="single", keep_seen=True)
    saved.update(["ann", "ann"], [4, 9])
    saved.save(state)
    stderr: list[str] = []
    words = (run, "--stream", "--numbers", "--k", 30, "--state", state)
    for more, left_out in ((), set()), (("--unseen",), {4, 9}):
        answer = json.loads(recommend(*words, *more, lines='{"user": "ann"}', stderr=stderr))
        assert set(answer["items"]) == set(range(1, 31)) - left_out
    assert stderr[0].startswith("easrec: states of 1 user, 2 events, saved at 20")
    state.unlink()
    recommend(*words, lines='{"user": "ann", "item": 4}')
    result = CliRunner().invoke(app, ["recommend", *map(str, words), "--unseen"])
    assert result.exit_code == 2 and "was started without --unseen" in result.stderr


ODD_IDS = ["a,b", "007", "7", " x ", '"q"', "[1]", "a b", "1_0", "日本", "-5", "é\u200d", "NULL", "x\\ty"]


@pytest.fixture(scope="module")
def odd_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Dataset of 30 items whose ids have commas, blanks, quotes, brackets and leading zeros."""
    folder = tmp_path_factory.mktemp("odd")
    ids = ODD_IDS + [f"i{number}" for number in range(30 - len(ODD_IDS))]
    rows = ["user,item,time"]
    for place, name in enumerate(ids * 2):
        quoted = name.replace('"', '""')
        rows.append(f'u{place // 6},"{quoted}",{place}')
    (folder / "odd.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return prepare(folder / "odd.csv", folder / "prepared", settings=PrepareSettings(keep_missing_words=True))


def test_ids_of_any_kind_are_given_as_json_and_come_back(run: Path, odd_dataset: Dataset) -> None:
    number_of = {name: number for number, name in enumerate(odd_dataset.item_ids.tolist()) if number}
    assert {"a,b", "007", "7", '"q"', "[1]", "1_0"} <= number_of.keys()
    for name, number in number_of.items():
        expected = odd_dataset.item_ids[top(run, [number], 5)[0]].tolist()
        rows = recommend(run, "--history", json.dumps([name]), "--k", 5, "--data", odd_dataset.path).splitlines()
        assert [row.split("\t")[0] for row in rows] == expected
    mixed = [number_of[name] for name in ("7", "007", "a,b")]
    rows = recommend(run, "--history", '[7, "007", "a,b"]', "--k", 30, "--data", odd_dataset.path).splitlines()
    assert [row.split("\t")[0] for row in rows] == odd_dataset.item_ids[top(run, mixed, 30)[0]].tolist()
    events = "\n".join(json.dumps({"user": 1, "item": item}) for item in (7, "007", "a,b"))
    last = json.loads(recommend(run, "--stream", "--k", 30, "--data", odd_dataset.path, lines=events).splitlines()[-1])
    assert last["items"] == odd_dataset.item_ids[top(run, mixed, 30)[0]].tolist()


@given(st.lists(st.text() | st.integers()))
def test_a_history_as_json_is_what_it_says(ids: list[str | int]) -> None:
    assert _items(json.dumps(ids)) == [str(item) for item in ids]
    assert _items(" " + json.dumps(ids, ensure_ascii=False)) == [str(item) for item in ids]


@given(st.lists(st.text(st.characters(exclude_characters=",[")).map(str.strip).filter(bool)))
def test_a_history_with_commas_is_what_it_says(ids: list[str]) -> None:
    assert _items(" , ".join(ids)) == ids


def test_an_id_with_control_characters_stays_in_its_row(run: Path, tmp_path: Path) -> None:
    from easrec_nni.cli.recommend import _printed

    assert [_printed(name) for name in ("a\tb\n", "\x1b[2J", "日本 é\u200d", "a")] == [
        '"a\\tb\\n"',
        '"\\u001b[2J"',
        "日本 é\u200d",
        "a",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either --history ITEM,… or --stream"),
        (["--history", "1", "--stream"], "either --history ITEM,… or --stream"),
        (["--history", "1", "--state", "x"], "--state belongs to --stream"),
        (["--history", "1"], "names no dataset"),
        (["--history", "", "--numbers"], "a history of at least one item"),
        (["--history", "4,,9", "--numbers"], "item 2 of 3 of the history is empty: leave out the comma"),
        (["--history", "4, ", "--numbers"], "item 2 of 2 of the history is empty"),
        (["--history", "1", "--k", "31", "--numbers"], "k from 1 to 30"),
        (["--history", "1,99", "--numbers"], "item '99' is not among"),
        (["--history", "1,x", "--numbers"], "whole numbers"),
        (["--history", "1_0", "--numbers"], "whole numbers"),
        (["--history", "٣", "--numbers"], "whole numbers"),
        (["--history", "[1", "--numbers"], "begins with [ must be a JSON list"),
        (["--history", "[1.5]", "--numbers"], "begins with [ must be a JSON list"),
        (["--history", "[true]", "--numbers"], "begins with [ must be a JSON list"),
        (["--history", "[[1]]", "--numbers"], "begins with [ must be a JSON list"),
        (["--history", "[]", "--numbers"], "a history of at least one item"),
        (["--stream", "--numbers", "--state", "/dev/null"], "/dev/null is not a file"),
        (["--stream", "--numbers", "--state", "/"], "/ is not a file"),
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
