"""Files of trials' results, as NNI's own code writes them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from easrec_nni.architecture.document import Architecture
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.experiments.export import choose_trial, export_architecture, trials_of
from easrec_nni.experiments.result_files import is_exported, read_exported
from search_spaces.config import Choice, SpaceConfig

SPACE = SpaceConfig(n_items=20, hidden=16, inner=32, heads=2, max_length=5)


def found(depth: int) -> Architecture:
    choices = Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=depth)
    return Architecture(choices=choices, space=SPACE, seed=depth, **{"lambda": 0.1 * depth})


def result(depth: int, score: float) -> dict[str, Any]:
    return {
        "default": score,
        "default_standard_error": 0.05,
        "madds_per_user": 1e6 * depth,
        "architecture": found(depth).to_json(indent=None),
        "files_at": f"worker{depth}:/trials/t{depth}",
    }


RESULTS = [("12e34", 1, 0.5), ("b", 2, 0.6), ("c", 3, 0.58)]  # NNI's ids can look like numbers


def write_json(file: Path) -> None:
    """As ``nnictl experiment export --type json``: the value is JSON within JSON."""
    entries = [
        {"parameter": {"lambda": 0.1 * depth}, "value": json.dumps(result(depth, score)), "trialJobId": name}
        for name, depth, score in RESULTS
    ]
    file.write_text(json.dumps(entries))


def write_csv(file: Path) -> None:
    """As ``nnictl experiment export --type csv``: a union of all keys, in no order."""
    rows = [{"lambda": 0.1 * depth, **result(depth, score), "trialJobId": name} for name, depth, score in RESULTS]
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, {key for row in rows for key in row})
        writer.writeheader()
        writer.writerows(rows)


def write_summary(file: Path) -> None:
    """As the web UI's summary of an experiment."""
    trials: list[dict[str, Any]] = [
        {
            "trialJobId": name,
            "status": "SUCCEEDED",
            "sequenceId": number + 10,
            "hyperParameters": [json.dumps({"parameter_id": number, "parameters": {"lambda": 0.1 * depth}})],
            "finalMetricData": [{"type": "FINAL", "data": json.dumps(json.dumps(result(depth, score)))}],
        }
        for number, (name, depth, score) in enumerate(RESULTS)
    ]
    trials.append({"trialJobId": "d", "status": "RUNNING", "sequenceId": 13, "hyperParameters": ["{}"]})
    file.write_text(json.dumps({"experimentParameters": {"id": "abcd1234"}, "trialMessage": trials[::-1]}))


def write_results(file: Path) -> None:
    """The final results alone, as `run_trial` returns them."""
    file.write_text(json.dumps([result(depth, score) for _, depth, score in RESULTS]))


WRITERS = {"a.json": write_json, "a.csv": write_csv, "summary.json": write_summary, "results.json": write_results}


@pytest.fixture(params=WRITERS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    WRITERS[request.param](tmp_path / request.param)
    return tmp_path / str(request.param)


def test_every_form_gives_the_same_trials(file: Path) -> None:
    assert is_exported(file)
    trials = read_exported(file)
    assert [trial.score for trial in trials[:3]] == [0.5, 0.6, 0.58]
    assert [trial.final and trial.final["files_at"] for trial in trials[:3]] == [
        f"worker{depth}:/trials/t{depth}" for depth in (1, 2, 3)
    ]
    if file.name != "results.json":
        assert [trial.id for trial in trials[:3]] == ["12e34", "b", "c"]
    if file.name == "summary.json":
        assert [trial.number for trial in trials] == [10, 11, 12, 13]
        assert (trials[3].status, trials[3].final, trials[3].is_over) == ("RUNNING", None, False)
        assert trials[0].parameters == {"lambda": 0.1}
    else:
        assert [trial.number for trial in trials] == [0, 1, 2]


@pytest.mark.parametrize(("options", "depth"), [([], 2), (["--smallest"], 2), (["--trial", "c"], 3)])
def test_the_architecture_is_rebuilt_to_the_letter(file: Path, tmp_path: Path, options: list[str], depth: int) -> None:
    if "c" in options and file.name == "results.json":
        options = ["--trial", "2"]  # results alone have numbers and no ids
    out = tmp_path / "out.json"
    command = ["export", "--experiment", str(file), "--out", str(out), *options]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert out.read_text() == found(depth).to_json()
    assert f"the weights, supernet.safetensors, are in worker{depth}:/trials/t{depth}" in done.output


def test_smallest_takes_the_cheapest_as_good(file: Path) -> None:
    data = trials_of(file)
    assert choose_trial(data).score == 0.6
    for trial in data:
        if trial.final:
            trial.final["default_standard_error"] = 0.2
    assert choose_trial(data, smallest=True).score == 0.5


def test_weights_that_are_not_here_are_told_of(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"scp worker2:/trials/t2/supernet.safetensors \."):
        export_architecture(file, tmp_path / "out.json", weights=True)
    assert not (tmp_path / "out.json").exists()


def test_show_draws_the_best_the_smallest_and_any_trial(file: Path) -> None:
    for options, depth in (([], 2), (["--trial", "12" if file.name == "summary.json" else "2"], 3)):
        done = CliRunner().invoke(app, ["show", str(file), *options])
        assert done.exit_code == 0, done.output
        assert f"depth {depth} of 4" in done.output and f"seed {depth}" in done.output


def test_a_single_final_result_and_a_bare_number(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(result(1, 0.5)))
    assert export_architecture(tmp_path / "one.json", tmp_path / "out.json").architecture == found(1)
    (tmp_path / "number.csv").write_text("lambda,reward,trialJobId\n0.1,0.25,abc\n")
    (trial,) = read_exported(tmp_path / "number.csv")
    assert (trial.id, trial.score) == ("abc", 0.25)
    with pytest.raises(UserError, match="its final result holds no architecture"):
        export_architecture(tmp_path / "number.csv", tmp_path / "no.json")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", found(1).to_json()),
        ("a.json", "{}"),
        ("a.json", "[]"),
        ("a.json", "{"),
        ("a.json", '["x"]'),
        ("a.csv", "user,item,time\na,b,1\n"),
        ("a.csv", ""),
    ],
)
def test_other_files_hold_no_results(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert not is_exported(tmp_path / name)
    with pytest.raises(UserError, match="holds no results|cannot be read as results"):
        read_exported(tmp_path / name)


def test_a_missing_and_a_huge_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_exported(tmp_path)
    (tmp_path / "a.json").write_text('{"default": 0.5}')
    monkeypatch.setattr("easrec_nni.experiments.result_files.LARGEST_FILE_BYTES", 5)
    with pytest.raises(UserError, match="has more than 5 bytes"):
        read_exported(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.json"], "there is no architecture file none.json"),
        (["abcd1243"], "NNI knows no experiment 'abcd1243'"),
        (["architecture.json", "--trial", "1"], "is neither an experiment nor a results file"),
        (["architecture.json", "--smallest"], "is neither an experiment nor a results file"),
        (["abcd1243", "--smallest", "--trial", "1"], "give one of them"),
    ],
)
def test_mistakes_of_show(words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found(1).write(tmp_path / "architecture.json")
    done = CliRunner().invoke(app, ["show", *words])
    assert done.exit_code == 2 and message in done.output
