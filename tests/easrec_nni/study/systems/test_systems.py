from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.systems import GROUPS, SYSTEMS, System, find_systems


def items(number: int) -> Any:
    """Fake dataset that only has a number of items."""
    return SimpleNamespace(n_items=number)


BASE = TrialSettings(
    data="shop",
    space={"max_length": 8, "hidden": 16, "inner": 32, "heads": 2, "layers": 3, "supernet": "shared"},
    search={"epochs": 3, "lambda": 0.3},
    retrain={"epochs": 5, "patience": 4, "batch_size": 7},
)


TRAINED = [system for system in SYSTEMS.values() if system.baseline is None]


@pytest.mark.parametrize("system", TRAINED, ids=lambda system: system.name)
def test_every_system_gets_the_same_budget_and_a_valid_space(system: System) -> None:
    settings = system.settings(BASE, {"seed": 4})
    assert settings.seed == 4
    assert (settings.retrain.patience, settings.retrain.batch_size) == (4, 7)
    assert settings.data == "shop" and settings.search.arch_share == BASE.search.arch_share
    changed = {name for name in system.changes if name.startswith("space.features")}
    if changed:  # its tables come from a dataset: see test_item_features
        return
    config = settings.space_for(items(30))
    assert config.is_fixed == system.fixed
    assert (config.max_length, config.hidden, config.layers) == (8, 16, 3)
    total = settings.retrain.epochs + (0 if system.fixed else settings.search.epochs)
    assert total == 8  # whatever is searched or not


def test_names_groups_and_sources_are_there_once() -> None:
    assert all(name == system.name for name, system in SYSTEMS.items())
    assert len({system.title for system in SYSTEMS.values()}) == len(SYSTEMS)
    assert {system.group for system in SYSTEMS.values()} == set(GROUPS)
    assert all(system.source for system in SYSTEMS.values())


def test_the_papers_systems_differ_in_what_their_names_say() -> None:
    spaces = {name: SYSTEMS[name].settings(BASE).space for name in SYSTEMS}
    assert spaces["sasrec"]["attention"] == "softmax" and spaces["sasrec-linrec"]["attention"] == "linrec"
    assert spaces["sasrecf"]["features"] == "fused" and spaces["fdsa-linrec"]["features"] == "stream"
    assert spaces["darts"]["gate_layers"] == 0 and "gate_layers" not in spaces["easrec"]
    searches = {name: SYSTEMS[name].settings(BASE).search for name in SYSTEMS}
    assert searches["darts"].lambda_ == 0 and searches["proxylessnas"].lambda_ == 0.3
    assert not searches["easrec-static"].dynamic and searches["easrec-printed"].constraint == "printed"
    plain = {name for name in SYSTEMS if name.startswith("easrec") and not searches[name].calibrates}
    assert plain == {"easrec-training-loss"} and not searches["darts"].calibrates
    assert SYSTEMS["easrec-scratch"].settings(BASE).retrain.weights == "scratch"


def test_parameters_of_a_cell_come_last() -> None:
    assert SYSTEMS["darts"].settings(BASE, {"lambda": 0.7}).search.lambda_ == 0.7


def test_an_unknown_system_is_refused_with_the_likely_one() -> None:
    with pytest.raises(UserError, match="did you mean 'sasrec'"):
        find_systems(["sasrek"])
    assert [system.name for system in find_systems(["darts", "easrec", "darts"])] == ["darts", "easrec"]
