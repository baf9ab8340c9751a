"""Points and slopes of scaling curves."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from easrec_nni.bench.measurement import Bench, BenchRequest
from easrec_nni.bench.own_process import in_own_process
from easrec_nni.bench.plots import scaling_plot
from easrec_nni.bench.point import measure_point
from easrec_nni.bench.scaling import AXES, fitted_slope
from easrec_nni.bench.worker_process import LineProcess
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from search_spaces import SpaceConfig

FIXED = {"min_depth": 1, "layers": 1, "hidden_pruning": [0], "inner_pruning": [0], "hidden": 8, "inner": 8, "heads": 2}


def order(**changes: object) -> dict[str, Any]:
    config = SpaceConfig(n_items=20, max_length=6, **FIXED).model_dump(mode="json")
    return {"config": config, "users": 3, "sequences": 2, "positions": 4, "repeats": 2, **changes}


def test_slope_is_numpys() -> None:
    random = np.random.default_rng(0)
    x = np.array([50.0, 100, 200, 400, 800])
    y = x**1.3 * np.exp(random.normal(0, 0.1, 5))
    expected = np.polyfit(np.log(x), np.log(y), 1)[0]
    assert fitted_slope(list(zip(x, y, strict=True))) == pytest.approx(expected)


def test_no_slope_of_one_size_or_of_nothing() -> None:
    assert fitted_slope([(5, 1), (5, 2)]) is None
    assert fitted_slope([(5, 0), (6, 0)]) is None  # memory that does not grow has no logarithm


def test_a_point_tells_time_and_memory() -> None:
    figures = measure_point(**order())
    assert figures["training_positions"] == 8
    assert figures["training_step_seconds"]["min"] > 0 and figures["inference_seconds_per_user"]["min"] > 0
    assert figures["training_memory_bytes"] >= 0


@pytest.mark.slow
def test_memory_of_a_point_is_its_own() -> None:
    """4,000 positions over 2,000 items are 32 MB of scores, which a small point before it does not hide."""
    large = order(
        config=SpaceConfig(n_items=2000, max_length=200, **FIXED).model_dump(mode="json"), sequences=20, positions=200
    )
    assert in_own_process(measure_point, large, threads=1, allocator="keep")["training_memory_bytes"] > 30e6


def test_a_point_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="measure_point cannot be measured: its process ended with code 1"):
        in_own_process(measure_point, order(), threads=1, allocator="keep")


def test_a_process_that_the_system_killed_hints_at_memory() -> None:
    with pytest.raises(UserError, match="its process ended with code -9: is there enough memory"):
        LineProcess("large", ["/bin/sh", "-c", "kill -9 $$"], {})


def test_axes_vary_one_size_each(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that is made up as N² has slope 2, and so have the parts that are measured by position."""
    orders: list[dict[str, Any]] = []

    def pretend(_: Bench, function: object, **order: Any) -> dict[str, object]:
        assert function is measure_point
        orders.append(order)
        n = order["config"]["max_length"]
        positions = order["sequences"] * order["positions"]
        spread = {"median": n**2.0, "min": 1.0, "max": 1.0}
        return {
            "inference_seconds_per_user": spread,
            "training_step_seconds": {"median": float(order["sequences"] * n**2), "min": 1.0, "max": 1.0},
            "training_positions": positions,
            "training_memory_bytes": 7,
            "executed_madds_per_user": n,
        }

    monkeypatch.setattr(Bench, "in_own_process", pretend)
    request = BenchRequest(dataset=str(tiny_dataset.path), settings={"data": "tiny"}, threads=1)
    figures = AXES[0].measure(Bench(request))
    assert figures["slopes"] == {"inference": 2.0, "training": 2.0, "training_memory": 0.0, "madds": 1.0}
    assert [arguments["config"]["max_length"] for arguments in orders] == list(AXES[0].values)
    assert all(
        arguments["config"]["layers"] == 4 and arguments["sequences"] * arguments["positions"] <= 8192
        for arguments in orders
    )
    drawn = scaling_plot([figures])
    assert "slope 2.00" in drawn.svg and drawn.png.startswith(b"\x89PNG")


def test_a_plot_labels_its_axes_in_words_and_draws_what_the_slopes_are_of() -> None:
    def point(length: int) -> dict[str, object]:
        seconds = {"median": 1e-3 * length, "min": 1e-3 * length, "max": 1e-3 * length}
        return {
            "value": length,
            "inference_seconds_per_user": seconds,
            "training_step_seconds": seconds,
            "training_positions": 2 * length,
        }

    points = [point(length) for length in (50, 500, 5000)]
    for axis, unit in (("max_length", "sequence"), ("hidden", "position")):
        scaling = {"axis": axis, "title": "size", "points": points, "slopes": {"inference": 1.0, "training": 0.5}}
        drawn = scaling_plot([scaling]).svg
        assert "mathdefault" not in drawn, "labels are no formulas"
        assert ">1,000<" in drawn and f"µs per {unit}: slope 0.50" in drawn
