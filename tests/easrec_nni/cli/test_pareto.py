"""``easrec pareto`` and ``easrec pick`` on the folder of a real search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from easrec_nni import Architecture, Dataset, search
from easrec_nni.cli.main import app
from easrec_nni.common.files import write_json
from easrec_nni.searching.front import read_front
from easrec_nni.tabular.documents import write_table
from tests.easrec_nni.architecture.test_latency import latency_file
from tests.easrec_nni.searching.test_elastic import settings_for
from tests.easrec_nni.tabular.test_agreement import table_of


@pytest.fixture(scope="module")
def run(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elastic") / "run"
    search(tiny_dataset, settings_for(tiny_dataset), folder)
    return folder


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})


def done(*words: str | Path) -> str:
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    return result.output


def test_pareto_lists_the_front_and_writes_it(run: Path, tmp_path: Path) -> None:
    front = read_front(run)
    everything = done("pareto", run, "--all", "--cost", "parameters", "--out", tmp_path / "front")
    for row in front.architectures:
        line = next(line for line in everything.splitlines() if line.split("  ")[0].strip() == row.name)
        assert f"{front.accuracy(row):.4f}" in line and f"{row.cost['parameters']:,.0f}" in line
    assert "all 8 architectures evaluated with inherited weights on 20 validation users" in everything
    assert sorted(file.name for file in (tmp_path / "front").iterdir()) == ["front.csv", "front.png", "front.svg"]
    on_front = [line.split("  ")[0].strip() for line in everything.splitlines() if line.strip().endswith("yes")]
    short = done("pareto", run, "--cost", "parameters").splitlines()
    assert [line.split("  ")[0].strip() for line in short if ", depth " in line] == on_front


def test_pareto_evaluates_again(run: Path, tiny_dataset: Dataset) -> None:
    before = read_front(run)
    (run / "front.json").write_text("{}")
    assert "--evaluate` writes it again" in invoke("pareto", run).output
    done("pareto", run, "--evaluate", "--data", tiny_dataset.path, "--threads", "1")
    assert read_front(run).architectures == before.architectures


def test_pareto_evaluates_the_supernet_of_any_one_shot_search(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset).with_parameters({"search.strategy": "darts"})
    search(tiny_dataset, settings, tmp_path / "run")
    refused = " ".join(invoke("pareto", tmp_path / "run").output.split())
    assert "--evaluate` evaluates the architectures of this search's supernet" in refused
    done("pareto", tmp_path / "run", "--evaluate", "--data", tiny_dataset.path, "--threads", "1")
    assert len(read_front(tmp_path / "run").architectures) == 8
    assert "there is no" in invoke("pareto", tmp_path / "gone", "--evaluate").output


def test_pick_writes_the_architecture(run: Path, tmp_path: Path) -> None:
    front = read_front(run)
    output = done("pick", run, "--max-cost", "40%", "--cost", "parameters", "--no-train", "--out", tmp_path)
    architecture = Architecture.read(tmp_path / "architecture.json")
    row = next(row for row in front.architectures if row.choice == architecture.choices)
    assert row.cost["parameters"] <= 0.4 * front.unpruned().cost["parameters"]
    assert architecture.cost == row.cost and row.name in output
    assert architecture.metrics["search_valid_ndcg@10_full"] == front.accuracy(row)
    assert architecture.training == Architecture.read(run / "architecture.json").training
    assert [file.name for file in tmp_path.iterdir()] == ["architecture.json"]


def test_pick_fine_tunes_inherited_weights(run: Path, tmp_path: Path, tiny_dataset: Dataset) -> None:
    words = ["pick", run, "--max-parameters", "100000", "--data", tiny_dataset.path, "--out", tmp_path / "picked"]
    output = done(*words, "--set", "retrain.epochs=2", "--threads", "1")
    metrics = json.loads((tmp_path / "picked" / "metrics.json").read_text())
    assert metrics["training"]["weights"] == "inherited" and metrics["training"]["epochs"] == 2
    assert "test: recall@10_full" in output
    assert Architecture.read(tmp_path / "picked" / "architecture.json").choices in [
        row.choice for row in read_front(run).architectures
    ]


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("option", ["--no-train", "--restart"])
def test_pick_leaves_the_search_as_it_is(run: Path, option: str) -> None:
    before = contents(run)
    result = invoke("pick", run, "--max-cost", "90%", "--out", run / "." / "", option)
    assert result.exit_code == 2 and "is the folder of the search: choose another --out" in result.output
    assert contents(run) == before


def test_pick_without_training_leaves_the_architecture_of_a_run(run: Path, tmp_path: Path) -> None:
    picked = tmp_path / "picked"
    (picked / "state").mkdir(parents=True)
    for name in ("architecture.json", "state/request.json"):
        (picked / name).write_bytes((run / name).read_bytes())
    before = contents(picked)
    result = invoke("pick", run, "--max-cost", "90%", "--out", picked, "--no-train")
    assert result.exit_code == 2 and "holds a run" in result.output.replace("\n", " "), result.output
    assert contents(picked) == before


def test_latencies_come_from_a_file(run: Path, tmp_path: Path) -> None:
    space = Architecture.read(run / "architecture.json").space
    times = {"layer_ms_per_user": 0.2, "last_layer_ms_per_user": 0.1}
    layers = [
        {"hidden": hidden, "inner": inner, "gates": gates, **times}
        for hidden in (8, 4)
        for inner in (16, 8)
        for gates in (False, True)
    ]
    embedding = [{"hidden": hidden, "ms_per_user": hidden / 7} for hidden in (8, 4)]
    file = latency_file(space, layers=layers, embedding_and_scoring=embedding)
    write_json(tmp_path / "latency.json", file.as_json())
    listed = done("pareto", run, "--latency", tmp_path / "latency.json", "--all")
    for row in read_front(run).architectures:
        line = next(line for line in listed.splitlines() if line.split("  ")[0].strip() == row.name)
        assert f"{file.predict(row.choice):.3g} ms" in line
    limit = file.predict(space.largest) * 0.99
    words = ["--max-latency-ms", f"{limit}", "--latency", tmp_path / "latency.json", "--no-train", "--out", tmp_path]
    done("pick", run, *words)
    assert file.predict(Architecture.read(tmp_path / "architecture.json").choices) <= limit


def test_a_table_is_correlated_with(run: Path, tmp_path: Path) -> None:
    front = read_front(run)
    space = Architecture.read(run / "architecture.json").space
    accuracy = [front.accuracy(row) for row in front.architectures]
    write_table(table_of(front, space, [accuracy, accuracy[::-1]]), tmp_path / "table.json")
    output = done("pareto", run, "--table", tmp_path / "table.json")
    assert "against 8 architectures trained from scratch" in output
    assert "Kendall's tau with validation 1.00 (noise ceiling unknown)" in output


@pytest.mark.parametrize(
    "words, message",
    [
        (["pick", "RUN"], "give --max-cost, --max-latency-ms, --max-parameters or --keep-accuracy"),
        (["pick", "RUN", "--max-cost", "forty"], "such as 40% or 0.4"),
        (["pick", "RUN", "--max-cost", "40%", "--cost", "time"], "unknown --cost time"),
        (["pick", "RUN", "--max-parameters", "3"], "the smallest, hidden50_inner50, depth 1, has"),
        (["pick", "RUN", "--max-latency-ms", "1"], "--latency FILE, from `easrec profile`"),
        (["pick", "RUN", "--max-latency-ms", "1", "--latency", "nowhere"], "easrec profile"),
        (["pareto", "RUN", "--cost", "latency"], "give --latency FILE"),
        (["pareto", "RUN", "--table", "nowhere"], "nowhere"),
        (["pick", "nowhere", "--max-cost", "40%"], "finished search with search.strategy: elastic"),
        (["pareto", "nowhere"], "finished search with search.strategy: elastic"),
        (["pareto", "RUN", "--data", "ml-100k"], "belong to --evaluate"),
        (["pareto", "RUN", "--cost", "time"], "unknown --cost time"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, run: Path, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")]
    result = invoke(*(str(run) if word == "RUN" else word for word in words), *out)
    assert result.exit_code == 2 and message in result.output, result.output
    assert "Traceback" not in result.output and not (tmp_path / "out").exists()
