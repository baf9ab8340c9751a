"""Measurements in alternation, with fake peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.__main__ import main, parse_options, shape_of
from benchmarks.peers.conversion import convert
from benchmarks.peers.curve import Limits, compare, record_curve
from benchmarks.peers.easrec_worker import load as load_ours
from benchmarks.peers.epoch import measure_epochs
from benchmarks.peers.inference import contestants, measure_inference, read_choice
from benchmarks.peers.systems import SHAPES
from benchmarks.peers.turns import write_result
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.evaluation.scoring import evaluate


@pytest.fixture
def log(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    convert(tiny_dataset, tmp_path / "log")
    return tmp_path / "log"


def test_inference_gives_ratios_and_memory(fake_peer: Any, log: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    systems = [
        fake_peer("RecBole SASRec, shipped", log, 8.0),
        fake_peer("RecBole SASRec, tuned", log, 4.0),
        fake_peer("ours, unpruned LinRec, keep", log, 2.0),
    ]
    figures = measure_inference(systems, batch=2048, repeats=3)
    rows = figures["rows"]
    assert rows["RecBole SASRec, shipped"]["batch"] == 2048  # as the user gave it
    assert rows["RecBole SASRec, tuned"]["batch"] == 512  # the fastest of those tried
    assert set(rows["RecBole SASRec, tuned"]["warm_up_seconds_by_batch"]) == {"64", "128", "256", "512"}
    assert rows["ours, unpruned LinRec, keep"]["seconds"] == {"median": 2.0, "min": 2.0, "max": 2.0}
    assert all(row["peak_memory_beyond_imports_bytes"] == row["peak_memory_bytes"] - 1000 for row in rows.values())
    medians = {row["peer"]: row["times_as_fast"]["median"] for row in figures["ratios"]}
    assert medians == {"RecBole SASRec, shipped": 8.0 * 4 / 2, "RecBole SASRec, tuned": 4.0 / 2}
    write_result(tmp_path / "result.json", tiny_dataset, figures, [0.0, 0.0, 0.0])
    written = json.loads((tmp_path / "result.json").read_text())
    assert {"command", "commit", "machine", "versions", "load_average", "dataset"} <= written.keys()


def test_an_epoch_of_recbole_is_extrapolated_and_says_so(fake_peer: Any, log: Path) -> None:
    systems = [fake_peer("RecBole SASRec, tuned", log, 2.0), fake_peer("ours, LinRec, keep", log, 4.0)]
    figures = measure_epochs(systems, repeats=2, count=30)
    assert figures["rows"]["RecBole SASRec, tuned"]["epoch"].startswith("extrapolated: the mean of 30 batches")
    assert figures["rows"]["ours, LinRec, keep"]["epoch"] == "whole, 10 batches"
    assert [row["times_as_fast"]["median"] for row in figures["ratios"]] == [2.0 * 100 / 4.0]


def test_a_curve_goes_on_where_it_ended(fake_peer: Any, log: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    system = fake_peer("RecTools SASRec, tuned", log, 10.0)
    first = record_curve(system, tiny_dataset, tmp_path / "work", Limits(2))
    recalls = [row["valid_recall@10_full"] for row in first["rows"]]
    assert recalls[1] > recalls[0]
    whole = record_curve(system, tiny_dataset, tmp_path / "work", Limits(4))
    assert whole["rows"][:2] == first["rows"]
    assert whole["rows"][3]["valid_recall@10_full"] == whole["rows"][3]["test_ndcg@10_full"] == 1.0
    # Training and scoring of the validation users count; scoring the test users (100 s) does not.
    assert [row["seconds"] for row in whole["rows"]] == pytest.approx([10.5, 21.0, 31.5, 42.0])
    assert len(record_curve(system, tiny_dataset, tmp_path / "work", Limits(9, minutes=0.7))["rows"]) == 4
    with pytest.raises(UserError, match="--restart"):
        record_curve(fake_peer("RecTools SASRec, tuned", log, 11.0), tiny_dataset, tmp_path / "work", Limits(4))


def test_the_comparison_looks_for_the_peers_best_epoch() -> None:
    def row(seconds: float, valid: float, test: float) -> dict[str, float]:
        return {"seconds": seconds, "valid_ndcg@10_full": valid, "test_ndcg@10_full": test}

    peer = [row(100, 0.1, 0.05), row(200, 0.3, 0.2), row(300, 0.2, 0.4), row(400, 0.5, 0.45)]
    ours = [row(10, 0.2, 0.1), row(20, 0.35, 0.15), row(50, 0.3, 0.25)]
    result = compare(ours, peer, minutes=5)
    assert result["valid"] == {"target": 0.3, "peer_seconds": 200, "our_seconds": 20, "times_as_fast": 10}
    assert result["test"] == {"target": 0.2, "peer_seconds": 200, "our_seconds": 50, "times_as_fast": 4}
    assert result["best"]["ours"]["test_ndcg@10_full"] == 0.15
    assert compare(ours, peer)["valid"]["our_seconds"] is None
    unseen = [
        [{key.replace("full", "unseen"): 1 - value for key, value in row.items()} for row in rows]
        for rows in (ours, peer)
    ]
    assert compare(*unseen, ranking="unseen")["valid"]["target"] == 0.9


def test_a_peer_that_fails_is_named_with_its_words(fake_peer: Any, log: Path) -> None:
    with pytest.raises(UserError, match="RecBole FDSA, tuned cannot be measured: ValueError: it has no network"):
        measure_inference([fake_peer("RecBole FDSA, tuned", log, 1.0, broken=True)], batch=8, repeats=1)


def test_ours_scores_as_the_toolkit_evaluates(tiny_dataset: Dataset, log: Path, tmp_path: Path) -> None:
    """Metrics from a file of scores equal the toolkit's, after an epoch and when restored."""
    order = {
        "dataset": str(tiny_dataset.path),
        "space": {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 1, "gate_layers": 0},
        "choices": {"hidden_pruning": 0.0, "inner_pruning": 0.5, "depth": 1},
        "settings": {"retrain": {"batch_size": 8}},
        "threads": 1,
        "seed": 0,
    }
    facts, handlers = load_ours(order)
    assert facts["test_users"] == len(tiny_dataset.split.test.users)
    answer = handlers["epoch"]()
    assert answer["seconds"] > 0 and answer["measured_batches"] == answer["batches_of_an_epoch"]
    handlers["save"](file=str(tmp_path / "state.pt"))
    file = tmp_path / "test.npy"
    handlers["scores"](part="test", file=str(file))
    from benchmarks.peers.curve import metrics_of_scores

    found = metrics_of_scores(file, tiny_dataset, "test")
    network = handlers["scores"].__self__.network
    expected = evaluate(network, tiny_dataset, "test")
    assert {name: found[f"test_{name}"] for name in expected} == pytest.approx(expected)
    _, again = load_ours({**order, "seed": 1})
    again["load"](file=str(tmp_path / "state.pt"))
    again["scores"](part="test", file=str(tmp_path / "again.npy"))
    assert metrics_of_scores(tmp_path / "again.npy", tiny_dataset, "test") == found
    assert again["pass"](batch=3)["batch"] == 3


def test_the_searched_architecture_is_measured_as_it_is(tmp_path: Path) -> None:
    document = {"choices": {"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 3}}
    for content in (document, {"architecture": document}):
        (tmp_path / "a.json").write_text(json.dumps(content))
        assert read_choice(tmp_path / "a.json").depth == 3
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(UserError, match="holds no architecture"):
        read_choice(tmp_path / "a.json")


def test_all_of_ours_are_networks(tiny_dataset: Dataset, log: Path) -> None:
    options = parse_options(["inference", "--models", "--variants", "tuned", "--threads", "1", "--hidden", "8"])
    shape = shape_of(options, tiny_dataset)
    assert (shape.hidden, shape.length) == (8, SHAPES["ml-1m"].length)
    systems = contestants(options, tiny_dataset, log, shape, read_choice(None))
    assert len(systems) == 8 and all(system.name.startswith("ours") for system in systems)
    for system in systems[::2]:
        facts, _ = load_ours(dict(system.order))
        assert facts["parameters"] > 0
    options.compiled = ["softmax"]
    more = {
        system.name: system.order["compiled"]
        for system in contestants(options, tiny_dataset, log, shape, read_choice(None))
    }
    assert [name for name, compiled in more.items() if compiled] == [
        "ours, softmax, compiled, default",
        "ours, softmax, compiled, keep",
    ]
    assert len(more) == 10


def test_a_peer_that_is_not_installed_is_an_error(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EASREC_PEERS", str(tmp_path / "nowhere"))
    assert main(["inference", "--dataset", str(tiny_dataset.path), "--threads", "1"]) == 2
    assert "python -m benchmarks.peers install" in capsys.readouterr().err


def test_patience_ends_a_curve_after_epochs_without_a_better_one() -> None:
    rows = [{"seconds": 1.0 * place, "valid_ndcg@10_full": ndcg} for place, ndcg in enumerate((0.1, 0.3, 0.2, 0.3))]
    assert not Limits(9, patience=3).reached(rows, "full")
    assert Limits(9, patience=2).reached(rows, "full")  # an equal one is not better
    assert not Limits(9, patience=2).reached(rows[:3], "full") and not Limits(9, patience=1).reached([], "full")
