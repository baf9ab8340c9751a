"""The benchmark of memory against catalogue: its arithmetic, and what it is there to show."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "loss_memory.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("loss_memory", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_growth_is_the_slope_of_a_line(benchmark: ModuleType) -> None:
    options = benchmark.options_of(["--out", "x.json", "--hidden", "8", "--batch-size", "2", "--length", "5"])
    rows = [{"n_items": n, "figure": 1000 + 64 * n} for n in (10, 20, 50)]
    growth = benchmark.growth(rows, "figure", options)
    assert growth["bytes_per_item"] == pytest.approx(64) and growth["intercept_bytes"] == pytest.approx(1000)
    assert growth["copies_of_the_item_table"] == pytest.approx(2)
    assert growth["share_of_positions_times_items"] == pytest.approx(64 / (4 * 10))
    assert growth["largest_by_smallest"] == pytest.approx(4200 / 1640)


@pytest.mark.parametrize(("loss", "flat"), [("softmax", False), ("sampled_softmax", True), ("gbce", True)])
def test_what_is_allocated_beside_the_weights_is_flat_with_negatives(
    benchmark: ModuleType, loss: str, flat: bool
) -> None:
    words = ["--out", "x.json", "--hidden", "8", "--batch-size", "4", "--length", "50", "--negatives", "20"]
    options = benchmark.options_of([*words, "--threads", "1"])
    small, large = (benchmark.measure(loss, n_items, options) for n_items in (2_000, 20_000))
    assert large["counted_bytes"] - small["counted_bytes"] == 4 * 4 * 8 * 18_000
    grown = large["transient_bytes"] - small["transient_bytes"]
    assert (grown <= 0) if flat else (grown > 4 * 200 * 18_000), "the full softmax holds all scores of a small matrix"


@pytest.mark.slow
def test_the_file_tells_growth_and_rows(benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.json"
    words = ["--items", "40", "20", "--losses", "gbce", "--batch-size", "2", "--length", "4", "--hidden", "8"]
    monkeypatch.setattr("sys.argv", [str(FILE), "--out", str(out), *words])
    benchmark.main()
    document = json.loads(out.read_text())
    assert document["positions"] == 8
    assert [row["n_items"] for row in document["losses"]["gbce"]["rows"]] == [20, 40]
    assert set(document["losses"]["gbce"]["growth"]) == {"transient_bytes", "resident_beyond_bytes"}
