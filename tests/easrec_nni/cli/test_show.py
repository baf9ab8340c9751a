"""``easrec show``: the unpruned network's cost, from the file or counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, SpaceConfig
from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.cli.main import app
from easrec_nni.common.files import write_json
from tests.latency_files import embedding_ms, last_ms, latency_file, layer_ms

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
    file, latency = tmp_path / "architecture.json", tmp_path / "latency.json"
    write_json(latency, latency_file(SPACE).as_json())
    Architecture(choices=CHOICE, space=SPACE).write(file)
    line = next(line for line in shown(file, "--latency", str(latency)).splitlines() if "predicted ms per user" in line)
    searched = embedding_ms(8) + last_ms(8, 24, False)
    unpruned = embedding_ms(16) + layer_ms(16, 32, False) + last_ms(16, 32, True)
    assert line.split()[4:7] == [f"{searched:.3g}", f"{unpruned:.3g}", f"{searched / unpruned:.0%}"]
    assert "predicted ms per user" not in shown(file)
    other = SpaceConfig(**SPACE.model_dump() | {"inner_pruning": (0.0, 0.75)})
    Architecture(choices=other.largest, space=other).write(file)
    done = CliRunner().invoke(app, ["show", str(file), "--latency", str(latency)])
    assert done.exit_code == 2 and "no layer of hidden width 16 and inner width 8" in done.output, done.output
