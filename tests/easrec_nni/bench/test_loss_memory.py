"""Memory by catalogue size: its arithmetic, and flat memory with negatives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from easrec_nni.bench import loss_memory as loss_memory_module
from easrec_nni.bench.loss_memory import growth, small_network
from easrec_nni.bench.measurement import Bench, BenchRequest
from easrec_nni.bench.measurements import ALL
from easrec_nni.bench.point import measure_training
from easrec_nni.bench.running import run_measurements
from easrec_nni.training.losses import LOSSES

NO_DATASET = BenchRequest(settings={"data": "none"}, threads=1, quick=True, repeats=1)


def test_growth_is_the_slope_of_a_line() -> None:
    rows = [{"n_items": n, "figure": 1000 + 64 * n} for n in (10, 20, 50)]
    figures = growth(rows, "figure", hidden=8, positions=10)
    assert figures["bytes_per_item"] == pytest.approx(64) and figures["intercept_bytes"] == pytest.approx(1000)
    assert figures["copies_of_the_item_table"] == pytest.approx(2)
    assert figures["share_of_positions_times_items"] == pytest.approx(64 / (4 * 10))
    assert figures["largest_by_smallest"] == pytest.approx(4200 / 1640)


@pytest.mark.parametrize(("loss", "flat"), [("softmax", False), ("sampled_softmax", True), ("gbce", True)])
def test_what_is_allocated_beside_the_weights_is_flat_with_negatives(loss: str, flat: bool) -> None:
    small, large = (
        measure_training(small_network(n_items, hidden=8, length=50), 4, 50, repeats=1, loss=loss, negatives=20)
        for n_items in (2_000, 20_000)
    )
    assert large["weights_bytes"] - small["weights_bytes"] == 4 * 8 * 18_000
    grown = large["transient_bytes"] - small["transient_bytes"]
    assert (grown <= 0) if flat else (grown > 4 * 200 * 18_000), "the full softmax holds all scores of a small matrix"


@pytest.mark.slow
def test_every_catalogue_has_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    request = NO_DATASET.model_copy(update={"quick": False})
    monkeypatch.setattr(loss_memory_module, "CATALOGUES", (20, 40))
    monkeypatch.setattr(loss_memory_module, "LOSSES", ("gbce",))
    figures = ALL["loss-memory"].measure(Bench(request))
    json.dumps(figures, allow_nan=False)
    assert list(figures["losses"]) == ["gbce"] and figures["positions"] == 6400
    loss = figures["losses"]["gbce"]
    assert [row["n_items"] for row in loss["rows"]] == [20, 40]
    assert set(loss["growth"]) == {"transient_bytes", "training_memory_bytes"}
    assert all(row["training_memory_bytes"] > 0 for row in loss["rows"])


def test_a_quick_run_needs_no_dataset(tmp_path: Path) -> None:
    document = run_measurements(NO_DATASET, [ALL["loss-memory"]], tmp_path)["loss-memory"]
    assert document["request"]["dataset"] is None
    lines = ALL["loss-memory"].table(document["figures"])
    assert lines[2] == "| loss | 300 items | 600 items | copies of the item table |"
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[4:]] == list(LOSSES)
