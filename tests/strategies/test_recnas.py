"""RecNAS: which options are dropped, and that they stay dropped."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies import RecNAS, TemperatureSchedule
from strategies.recnas import PrunedSelection

OPTIONS: dict[str, list[Any]] = {"pruning": ["a", "b", "c", "d"], "depth": [1, 2, 3]}


def make_selection(alpha: list[float], temperature: float = 1.0) -> PrunedSelection:
    selection = PrunedSelection({"pruning": OPTIONS["pruning"][: len(alpha)]})
    selection.temperature = temperature
    with torch.no_grad():
        selection.logits["pruning"].copy_(torch.tensor(alpha))
    return selection


@pytest.mark.parametrize(
    "temperature, below, remaining",
    [
        (1.0, 0.1, ["a", "b", "c"]),  # d has exp(-3) = 0.05 of a's weight
        (1.0, 0.04, ["a", "b", "c", "d"]),
        (0.5, 0.1, ["a", "b"]),  # c has exp(-4) = 0.02
        (0.01, 0.1, ["a"]),
        (1.0, 0.9, ["a"]),
        (0.001, 0.0, ["a", "b", "c", "d"]),
    ],
)
def test_options_below_a_share_of_the_strongest_are_dropped(
    temperature: float, below: float, remaining: list[str]
) -> None:
    selection = make_selection([2.0, 1.0, 0.0, -1.0], temperature)
    selection.drop(below)
    assert selection.remaining() == {"pruning": remaining}


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=4),
    st.floats(0, 0.999),
    st.floats(0.01, 2),
)
def test_the_strongest_option_is_never_dropped(alpha: list[float], below: float, temperature: float) -> None:
    selection = make_selection(alpha, temperature)
    strongest = {index for index, value in enumerate(alpha) if value == max(alpha)}
    before = selection.argmax("pruning")
    for _ in range(3):
        selection.drop(below)
        assert selection.argmax("pruning") == before
        assert strongest <= {index for index, value in enumerate(selection.logits["pruning"]) if value > -math.inf}
    assert all(value.isfinite() for value in selection.draw()["pruning"].sum()[None])


def test_a_dropped_option_has_no_weight_no_probability_and_no_gradient() -> None:
    selection = make_selection([2.0, 1.0, 0.0, -9.0])
    selection.drop(0.1)
    weights = selection.draw()["pruning"]
    (gradient,) = torch.autograd.grad((weights * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum(), selection.logits["pruning"])
    assert weights[3] == gradient[3] == selection.probabilities()["pruning"][3] == 0
    assert gradient[:3].abs().min() > 0
    torch.testing.assert_close(weights[:3].detach(), torch.tensor([2.0, 1.0, 0.0]).softmax(0))


def test_adam_does_not_bring_a_dropped_option_back() -> None:
    selection = make_selection([1.0, 0.0, 0.0, 0.5])
    logits = selection.logits["pruning"]
    optimizer = torch.optim.Adam([logits], lr=0.5)
    for step in range(6):
        logits.grad = torch.tensor([1.0, 1.0, -5.0, 1.0]) if step < 3 else torch.zeros(4)
        optimizer.step()  # from the fourth step on momentum alone moves, upwards for c
        if step == 2:
            with torch.no_grad():
                logits[2] = -20.0
            selection.drop(0.1)
    assert logits[2] == -math.inf
    assert logits[[0, 1, 3]].isfinite().all()
    assert "c" not in selection.remaining()["pruning"]


def test_options_are_dropped_for_good_until_the_best_is_left(
    cost_table: Any, search_sums: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = RecNAS.module_type
    original, remaining = cls._architecture_step, []

    def step(module: Any, *arguments: Any) -> None:
        original(module, *arguments)
        remaining.append({label: set(names) for label, names in module.selection.remaining().items()})

    monkeypatch.setattr(cls, "_architecture_step", step)
    strategy = RecNAS(
        cost_table, lambda_=0.0, arch_learning_rate=0.1, temperature=TemperatureSchedule(decay=0.02, end=0.05)
    )
    space = search_sums(strategy, 60)
    assert remaining[0] == {"pruning": {"narrow", "middle", "wide"}, "depth": {1, 2, 3}}
    assert remaining[-1] == {"pruning": {"wide"}, "depth": {3}}
    for earlier, later in zip(remaining, remaining[1:], strict=False):
        for label in later:
            assert later[label] <= earlier[label]
    # What was dropped does not run any more: neither in the weights' steps nor in alpha's.
    steps = next(index for index, each in enumerate(remaining) if "narrow" not in each["pruning"]) + 1
    for adds in space.adds():
        assert sum(adds["narrow"].calls) == 2 * steps < sum(adds["wide"].calls)


def test_nothing_is_dropped_if_nothing_may_be(cost_table: Any, search_sums: Any) -> None:
    strategy = RecNAS(
        cost_table,
        arch_learning_rate=0.1,
        drop_below=0.0,
        temperature=TemperatureSchedule(start=0.05, end=0.05),
    )
    search_sums(strategy, 30)
    assert isinstance(strategy.selection, PrunedSelection)
    assert {label: len(names) for label, names in strategy.selection.remaining().items()} == {"pruning": 3, "depth": 3}


@pytest.mark.parametrize("below", [-0.1, 1.0, math.nan])
def test_shares_that_could_drop_the_strongest_are_refused(below: float) -> None:
    with pytest.raises(ValueError, match="drop_below must be from 0 to less than 1"):
        RecNAS({}, drop_below=below)
