"""Latency files: predictions against a plain sum, round trips, and files of other spaces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.architecture.latency import LatencyFile, latency_table
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from search_spaces import Choice, SpaceConfig
from tests.latency_files import embedding_ms, last_ms, latency_file, layer_ms

SPACE = SpaceConfig(n_items=50, max_length=10, hidden=16, inner=32, heads=2, layers=4, gates_from=3)


def test_a_prediction_is_the_sum_of_its_parts() -> None:
    document = latency_file(SPACE)
    table = latency_table(document, SPACE)
    for choice in SPACE.architectures():
        hidden, inner = SPACE.hidden_width(choice.hidden_pruning), SPACE.inner_width(choice.inner_pruning)
        total = embedding_ms(hidden)
        for layer in range(1, choice.depth + 1):  # gates from layer 3
            total += (last_ms if layer == choice.depth else layer_ms)(hidden, inner, layer >= 3)
        assert document.predict(choice) == pytest.approx(total)
        assert table[choice.label][choice.depth] == document.predict(choice)
    assert sum(map(len, table.values())) == len(SPACE.architectures())


def test_a_file_serves_every_space_of_its_parts() -> None:
    document = latency_file(SPACE)
    # The narrow candidates of SPACE under other ratios, deeper, and without gates.
    changed = SPACE.model_copy(
        update={"hidden": 8, "inner": 16, "hidden_pruning": (0.0,), "inner_pruning": (0.0,), "layers": 6}
    )
    other = SpaceConfig(**changed.model_dump() | {"gate_layers": 0, "dropout": 0.5, "supernet": "shared"})
    choice = Choice(hidden_pruning=0, inner_pruning=0, depth=6)
    assert document.predict(choice, other) == pytest.approx(0.5 + 5 * layer_ms(8, 16, False) + last_ms(8, 16, False))


OTHER_SPACES = {
    "n_items=50, and this space has 51": {"n_items": 51},
    "max_length=10, and this space has 20": {"max_length": 20},
    "attention='linrec', and this space has 'softmax'": {"attention": "softmax"},
    "heads=2, and this space has 4": {"heads": 4},
    "gate_layers=2, and this space has 1": {"gate_layers": 1},
    "no network of width 4": {"hidden_pruning": (0.0, 0.75)},
    "no layer of hidden width 16 and inner width 8 without gates": {"inner_pruning": (0.0, 0.75)},
}


@pytest.mark.parametrize("message", OTHER_SPACES)
def test_a_file_of_another_space_is_refused(message: str, tmp_path: Path) -> None:
    file = tmp_path / "latency.json"
    write_json(file, latency_file(SPACE).as_json())
    other = SpaceConfig(**SPACE.model_dump() | OTHER_SPACES[message])
    assert LatencyFile.read(file, SPACE) == latency_file(SPACE)
    with pytest.raises(UserError) as caught:
        LatencyFile.read(file, other)
    assert message in caught.value.message and "easrec profile" in caught.value.message
    assert caught.value.message.startswith(f"{file}: the latency file is of another space")


def test_a_file_is_read_as_it_was_written_and_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    file = tmp_path / "latency.json"
    document = latency_file(SPACE, commit="abc", later={"key": 1})
    write_json(file, document.as_json())
    read = LatencyFile.read(file)
    assert read == document and read.as_json() == document.as_json()
    assert json.loads(file.read_text())["space"] == SPACE.model_dump(mode="json"), "defaults may change later"


DAMAGE: dict[str, tuple[str, Any]] = {
    "another version": ("schema_version", 2),
    "a negative time": ("embedding_and_scoring", [{"hidden": 16, "ms_per_user": -1}]),
    "a time that is text": ("layers", [{"hidden": 16, "inner": 32, "gates": False, "layer_ms_per_user": "much"}]),
    "a space that is none": ("space", {"n_items": 0}),
    "an unknown clock": ("clock", "sand"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_are_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "latency.json"
    key, value = DAMAGE[name]
    write_json(file, latency_file(SPACE).as_json() | {key: value})
    with pytest.raises(UserError, match=f"{key}.*easrec profile") as caught:
        LatencyFile.read(file)
    assert "\n" not in caught.value.message
    file.write_text(file.read_text().replace('"turns": 3', '"turns": NaN'))
    with pytest.raises(UserError, match="NaN is not a JSON number"):
        LatencyFile.read(file)


def test_predicting_needs_no_torch() -> None:
    program = "import sys, easrec_nni.architecture.latency as l; print(sorted({'torch', 'nni'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
