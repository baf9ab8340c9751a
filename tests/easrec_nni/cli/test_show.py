"""``easrec show``: the unpruned network's cost, from the file or counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, SpaceConfig
from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.latency import LatencyFile
from easrec_nni.cli.main import app
from easrec_nni.common.files import write_json

SPACE = SpaceConfig(n_items=50, max_length=10, hidden=16, inner=32, heads=2, layers=2)
CHOICE = Choice(hidden_pruning=0.5, inner_pruning=0.25, depth=1)


def shown(file: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["show", str(file), *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_file_with_the_unpruned_cost_is_drawn_like_one_that_is_counted(tmp_path: Path) -> None:
    cost = architecture_cost(SPACE, CHOICE).as_dict()
    unpruned = architecture_cost(SPACE, SPACE.largest).as_dict()
    by_hand, earlier = Architecture(choices=CHOICE, space=SPACE), Architecture(choices=CHOICE, space=SPACE, cost=cost)
    today = Architecture(choices=CHOICE, space=SPACE, cost=cost, unpruned_cost=unpruned)
    assert "unpruned_cost" not in earlier.to_json()
    files = []
    for name, architecture in (("by_hand", by_hand), ("earlier", earlier), ("today", today)):
        files.append(tmp_path / f"{name}.json")
        architecture.write(files[-1])
    assert shown(files[0]) == shown(files[1]) == shown(files[2])
    # The file's figures are drawn, not others.
    doubled = {name: 2 * value for name, value in unpruned.items()}
    today.model_copy(update={"unpruned_cost": doubled}).write(tmp_path / "doubled.json")
    share = cost["parameters"] / unpruned["parameters"]
    assert f"{share:.0%}" in shown(files[2]) and f"{share / 2:.0%}" in shown(tmp_path / "doubled.json")


@pytest.mark.parametrize("cost", [{"parameters": -1.0}, {"bad\x1bname": 1.0}])
def test_a_hostile_unpruned_cost_is_refused(cost: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is negative|cannot be printed"):
        Architecture(choices=CHOICE, space=SPACE, unpruned_cost=cost)


def test_a_latency_file_adds_the_predicted_latency(tmp_path: Path) -> None:
    part = {"inner": 32, "gates": False, "layer_ms_per_user": 0.5}
    document = LatencyFile(
        schema_version=1,
        space=SpaceConfig(**SPACE.model_dump()),
        dataset={"name": "tiny", "n_users": 40, "n_items": 50},
        device="cpu",
        batch=256,
        users=40,
        mean_history=4.5,
        test_users=40,
        mean_test_history=4.5,
        threads=1,
        clock="wall",
        turns=3,
        embedding_and_scoring=[{"hidden": 16, "ms_per_user": 0.04}, {"hidden": 8, "ms_per_user": 0.02}],
        layers=[
            {**part, "hidden": hidden, "inner": inner, "gates": gates, "last_layer_ms_per_user": 0.001 * inner}
            for hidden in (16, 8)
            for inner in (32, 24)
            for gates in (False, True)
        ],
    )
    file, latency = tmp_path / "architecture.json", tmp_path / "latency.json"
    space = SpaceConfig(**SPACE.model_dump() | {"hidden_pruning": (0.0, 0.5), "inner_pruning": (0.0, 0.25)})
    Architecture(choices=CHOICE, space=space).write(file)
    write_json(latency, document.as_json())
    line = next(line for line in shown(file, "--latency", str(latency)).splitlines() if "predicted ms per user" in line)
    # One layer of widths 8 and 24, against two of 16 and 32.
    assert line.split()[4:7] == ["0.044", "0.572", f"{0.044 / 0.572:.0%}"]
    assert "predicted ms per user" not in shown(file)
    Architecture(choices=CHOICE, space=SPACE).write(file)
    done = CliRunner().invoke(app, ["show", str(file), "--latency", str(latency)])
    assert done.exit_code == 2 and "no layer of hidden width 16 and inner width 16" in done.output, done.output
