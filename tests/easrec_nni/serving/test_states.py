"""Slots of users against a plain dictionary."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from easrec_nni.serving.states import UserStates
from search_spaces import SpaceConfig

CONFIG = SpaceConfig(
    n_items=20, max_length=4, hidden=8, inner=8, heads=2, layers=2, hidden_pruning=(0,), inner_pruning=(0,), min_depth=2
)
USERS = st.lists(st.sampled_from([f"u{number}" for number in range(40)]), max_size=25)


@given(steps=st.lists(st.tuples(st.sampled_from(["claim", "forget", "reopen"]), USERS), max_size=12))
@settings(max_examples=60, deadline=None)
def test_users_have_what_they_were_given_and_newcomers_nothing(steps: list[tuple[str, list[str]]]) -> None:
    states, expected = UserStates(CONFIG, torch.float64, keep_seen=True), dict[str, int]()
    for step, users in steps:
        if step == "claim":
            slots = states.claim(users)
            for user, slot in zip(users, slots.tolist(), strict=True):
                assert int(states.tensors["counts"][slot]) == expected.setdefault(user, 0)
                expected[user] += 1
                states.tensors["counts"][slot] = expected[user]
                states.tensors["newest"][slot] = expected[user]
                states.mark_seen(np.array([slot]), np.array([1 + expected[user] % 20]))
        elif step == "forget":
            assert states.forget(users) == len(set(users) & expected.keys())
            expected = {user: count for user, count in expected.items() if user not in users}
        else:
            names, tensors = states.export()
            states = UserStates(CONFIG, torch.float64, keep_seen=True)
            states.replace(names, tensors)
            assert states.capacity == len(names)
        assert states.slots.keys() == expected.keys()
        assert len(set(states.slots.values())) == len(expected) <= states.capacity
        assert (states.find(["unknown"]) == -1).all()
        for user, count in expected.items():
            slot = states.find([user])
            assert float(states.tensors["newest"][slot[0], 3]) == count
            items = {1 + number % 20 for number in range(1, count + 1)}
            assert set(states.seen(slot, 20)[0].nonzero().flatten().tolist()) == items


@pytest.mark.parametrize("keep_seen", [True, False])
@pytest.mark.parametrize(("form", "sums"), [({}, 0), ({"attention": "elu"}, 4), ({"key_norm": "column"}, 4)])
def test_bytes_of_a_user_are_those_of_the_tensors(form: dict[str, str], sums: int, keep_seen: bool) -> None:
    states = UserStates(CONFIG.model_copy(update=form), torch.float64, keep_seen)
    heads, width, layers = 2, 4, 2
    expected = 8 * layers * heads * (width * width + sums) + 4 * 8 + 8 + (3 if keep_seen else 0)
    assert states.bytes_per_user == expected
    states.claim(["a"])
    assert sum(tensor.nbytes for tensor in states.tensors.values()) == expected * states.capacity
