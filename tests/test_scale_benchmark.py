"""The steps of benchmarks/scale.py, on a log that is small."""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from easrec_nni.data import sources as sources_module
from easrec_nni.data.sources.synthetic import SyntheticSource

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = """
data: gowalla
space: {max_length: 6, hidden: 8, inner: 16, heads: 2, layers: 2, hidden_pruning: [0, 0.5], inner_pruning: [0, 0.5]}
search: {batch_size: 16, arch_batch_size: 16}
"""


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    specification = importlib.util.spec_from_file_location("scale", ROOT / "benchmarks" / "scale.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def options(scale: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    small = SyntheticSource("synthetic-gowalla", "small", users=120, items=300, interactions=3000)
    monkeypatch.setattr(sources_module, "NAMED", (small,))
    (tmp_path / "settings.yml").write_text(SETTINGS)
    words = [
        "--data",
        tmp_path / "data",
        "--settings",
        tmp_path / "settings.yml",
        "--iterations",
        "3",
        "--threads",
        "1",
    ]
    options: argparse.Namespace = scale.options_of([*map(str, words), "--out", "unused.json"])
    return options


def test_every_step_tells_time_memory_and_what_was_done(scale: ModuleType, options: argparse.Namespace) -> None:
    figures = {step: scale.run_step(step, options) for step in ("prepare", "search", "evaluate")}
    json.dumps(figures, allow_nan=False)
    for each in figures.values():
        assert each["seconds"] > 0 and each["processor_seconds"] > 0
        assert each["peak_memory_bytes"] >= each["baseline_peak_memory_bytes"] > 0
        assert (each["threads"], len(each["load_average"]["before"])) == (1, 3)
    assert (figures["prepare"]["users"], figures["prepare"]["items"]) == (120, 300)
    assert figures["prepare"]["bytes_on_disk"] > 4 * 3000
    search = figures["search"]
    assert search["measured_iterations"] == len(search["seconds_per_iteration"]) == 3 < search["iterations_of_an_epoch"]
    assert sum(search["processor_seconds_per_iteration"]) <= search["processor_seconds"]
    mean = sum(search["processor_seconds_per_iteration"]) / 3
    assert search["extrapolated_processor_seconds_of_an_epoch"] == pytest.approx(
        mean * search["iterations_of_an_epoch"]
    )
    assert search["supernet"] == search["settings"]["space"]["supernet"] == "shared"
    evaluated = figures["evaluate"]
    assert (evaluated["users"], evaluated["items"], evaluated["protocols"]) == (120, 300, ["full", "pop100"])


def test_an_epoch_shorter_than_asked_for_is_measured_whole(scale: ModuleType, options: argparse.Namespace) -> None:
    scale.run_step("prepare", options)
    options.iterations = 10_000
    search = scale.run_step("search", options)
    assert search["measured_iterations"] == search["iterations_of_an_epoch"]


def test_a_place_for_the_result_is_asked_for(scale: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        scale.options_of([])
    assert "--out is missing" in capsys.readouterr().err
