from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data.batches.modes import check_mode
from easrec_nni.settings.trial import TrialSettings
from search_spaces import SpaceConfig


def items(number: int) -> Any:
    """Stand-in for a dataset of which only the number of items counts."""
    return SimpleNamespace(n_items=number)


MASKED = {"objective": "masked", "direction": "bidirectional"}
BOTH_WAYS = {"direction": "bidirectional"}
CORE = {"head": "core"}


@pytest.mark.parametrize(
    "mode, space",
    [
        ("causal", {}),
        ("causal", CORE),
        ("augmented", {}),
        ("augmented", BOTH_WAYS),
        ("augmented", {**CORE, **BOTH_WAYS}),
        ("augmented", MASKED),  # the next item alone is hidden
        ("augmented", {**BOTH_WAYS, "attention": "linformer"}),
        ("masked", MASKED),
        ("masked", {**MASKED, "attention": "linformer"}),
    ],
)
def test_modes_train_the_networks_that_they_can(mode: Any, space: dict[str, Any]) -> None:
    check_mode(mode, SpaceConfig(n_items=3, **space))
    assert TrialSettings(data="x", mode=mode, space=space).space_for(items(3)) == SpaceConfig(n_items=3, **space)


@pytest.mark.parametrize(
    "mode, space, words",
    [
        ("causal", BOTH_WAYS, "mode: causal puts a loss on every position, .* or set mode: augmented"),
        ("causal", MASKED, "mode: causal predicts the item after every position, .*: set mode: masked, or space.obj"),
        ("masked", {}, "mode: masked hides items .*: set space.objective: masked and space.direction: bidirectional"),
        ("masked", BOTH_WAYS, "mode: masked .* set space.objective: masked"),
    ],
)
def test_other_modes_are_refused_with_the_ways_out(mode: Any, space: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=f"^{words}"):
        check_mode(mode, SpaceConfig(n_items=3, **space))
    with pytest.raises(UserError, match=f"^settings: .*{words}"):
        TrialSettings(data="x", mode=mode, space=space).space_for(items(3))


@pytest.mark.parametrize(
    "space, words",
    [
        ({"objective": "masked"}, "set direction='bidirectional'"),
        ({"attention": "linformer"}, "no causal form: set direction='bidirectional'"),
        ({**MASKED, "head": "core"}, "head='core' .*: set objective='next'"),
    ],
)
def test_networks_that_cannot_be_are_refused_as_settings(space: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=f"^settings, space: .*{words}"):
        TrialSettings(data="x", mode="masked", space=space).space_for(items(3))
