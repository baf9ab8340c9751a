"""Search space validation and representative values, compared with NNI's own tuners and expressions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from nni import parameter_expressions
from nni.common.hpo_utils import validate_search_space
from nni.common.hpo_utils.validation import common_search_space_types

from easrec_nni.common.errors import UserError
from easrec_nni.experiments.search_space_checks import TYPES, check_search_space, representative_values

RIGHT: dict[str, list[Any]] = {
    "choice": [1, 2.5, "a"],
    "randint": [1, 9],
    "uniform": [-0.5, 0.5],
    "quniform": [0.6, 3.0, 0.5],
    "loguniform": [0.001, 1],
    "qloguniform": [0.3, 8.2, 0.5],
    "normal": [0.3, 0.1],
    "qnormal": [0.3, 0.2, 0.1],
    "lognormal": [-1, 0.5],
    "qlognormal": [-1, 0.5, 0.1],
}
NESTED = [{"_name": "a", "x": {"_type": "uniform", "_value": [0, 1]}}, {"_name": "b"}]


def entry(kind: Any, values: Any) -> dict[str, Any]:
    return {"_type": kind, "_value": values}


def test_the_types_are_those_of_nni() -> None:
    assert sorted(TYPES) == sorted(common_search_space_types) == sorted(RIGHT)


@pytest.mark.parametrize("kind", RIGHT)
def test_what_is_right_is_right_for_nni_too(kind: str) -> None:
    space = {"x": entry(kind, RIGHT[kind])}
    check_search_space(space)
    assert validate_search_space(space, raise_exception=True)


def test_choices_of_all_that_a_setting_can_be() -> None:
    check_search_space({"x": entry("choice", [None, True, 1, 0, False, "1", [0, 0.5], [0], {"kind": "ndcg"}])})
    check_search_space({"x": entry("choice", NESTED)})
    check_search_space({})


@pytest.mark.parametrize("wrong", ["few", "many", "text", "none", "infinite", "nan", "true", "huge"])
@pytest.mark.parametrize("kind", [kind for kind in RIGHT if kind != "choice"])
def test_numbers_that_no_type_takes(kind: str, wrong: str) -> None:
    values = list(RIGHT[kind])
    odd = {"text": "0.1", "none": None, "infinite": math.inf, "nan": math.nan, "true": True, "huge": 10**400}
    changed = {"few": values[:-1], "many": [*values, 1]}.get(wrong) or [odd[wrong], *values[1:]]
    with pytest.raises(UserError, match=r"^searchSpace, x: ") as caught:
        check_search_space({"x": entry(kind, changed)})
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([0.1, 0.5], r"lambda is \[0.1, 0.5\], which has no _type: write `\{_type: choice, _value: \[0.1, 0.5\]\}`"),
        (None, "lambda is null, which has no _type"),
        ({"_value": [0.1]}, "there is no _type; write `"),
        (entry("choise", [0.1]), 'NNI has no _type "choise"; it has choice, randint'),
        (entry("layer_choice", [0.1]), "NNI has no _type"),
        (entry(["choice"], [0.1]), r'NNI has no _type \["choice"\]'),
        ({"_type": "choice"}, "_value must be a list, not null"),
        (entry("uniform", 0.5), r"_value must be a list, not 0.5: write `\{_type: uniform"),
        (entry("choice", "abc"), "_value must be a list"),
        ({**entry("choice", [1]), "_values": [2]}, 'unknown key "_values"'),
        (entry("choice", []), "_value is empty"),
        (entry("choice", [0.1, 0.2, 0.1]), "0.1 is listed twice"),
        (entry("choice", [1, 1.0]), "1.0 is listed twice"),
        (entry("choice", [[1], [1]]), r"\[1\] is listed twice"),
        (entry("choice", [math.nan]), "NaN is not a finite number"),
        (entry("choice", [math.inf]), "Infinity is not a finite number"),
        (entry("choice", [[math.inf]]), "is not a finite number"),
        (entry("choice", [NESTED[0], {"x": 1}]), "every value of a nested choice needs a _name"),
        (entry("choice", [{"_name": "a"}, {"_name": "a"}]), 'the _name "a" is listed twice'),
        (entry("choice", [{"_name": "a", "x": [1]}]), r"lambda, a, x is \[1\], which has no _type"),
        (entry("choice", [{"_name": "a", "x": entry("uniform", [1, 0])}]), "lambda, a, x: low is 1 and high is 0"),
        (entry("uniform", [0.5, 0.1]), r"low is 0.5 and high is 0.1: write `_value: \[0.1, 0.5\]`"),
        (entry("uniform", [0.5, 0.5]), "use a choice of one"),
        (entry("quniform", [3, 1, 0.5]), r"write `_value: \[1, 3, 0.5\]`"),
        (entry("randint", [5, 1]), r"write `_value: \[1, 5\]`"),
        (entry("randint", [1, 5.5]), "randint needs integers"),
        (entry("uniform", ["1e-3", 0.5]), "YAML reads it as text, write 0.001"),
        (entry("loguniform", [0, 1]), "takes the logarithm of low, which is 0 and must be above 0"),
        (entry("qloguniform", [-1, 1, 0.1]), "takes the logarithm of low"),
        (entry("quniform", [0, 1, 0]), "q, the step, is 0 and must be above 0"),
        (entry("qlognormal", [0, 1, -1]), "q, the step, is -1"),
        (entry("normal", [0, 0]), "the deviation of normal is 0"),
        (entry("lognormal", [0, -1]), "the deviation of lognormal is -1"),
        (entry("lognormal", [500, 1]), "takes mean and deviation of the logarithm"),
    ],
)
def test_each_kind_of_mistake_is_named_with_what_to_write(given: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        check_search_space({"seed": entry("choice", [1]), "lambda": given})
    assert caught.value.message.startswith("searchSpace, lambda")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("space", [None, [], "lambda", 3])
def test_a_search_space_of_another_kind(space: Any) -> None:
    with pytest.raises(UserError, match="searchSpace must be a mapping of names to entries"):
        check_search_space(space)


def test_names_that_yaml_takes_for_something_else() -> None:
    with pytest.raises(UserError, match="the name true is not a string: put it in quotes"):
        check_search_space({True: entry("choice", [1])})


@pytest.mark.parametrize("kind", [kind for kind in RIGHT if kind != "choice"])
def test_values_that_stand_for_all_lie_at_the_ends_of_what_nni_draws(kind: str) -> None:
    """They bound 4,000 draws of NNI's own expressions (99.5 % of them for unbounded normal distributions)."""
    state = np.random.RandomState(0)
    draws = np.array([getattr(parameter_expressions, kind)(*RIGHT[kind], state) for _ in range(4000)], dtype=float)
    values = representative_values({"_type": kind, "_value": RIGHT[kind]})
    assert values == sorted(values) and len(values) >= 3
    inside = np.mean((draws >= values[0] - 1e-9) & (draws <= values[-1] + 1e-9))
    if "normal" in kind:
        assert inside > 0.995
        assert np.mean(draws < (values[0] + 2 * values[1]) / 3) > 0  # and not far outside of them
    else:
        assert inside == 1
        assert draws.min() - values[0] < 0.01 * (values[-1] - values[0])
        assert values[-1] - draws.max() < 0.01 * (values[-1] - values[0])
    if kind.startswith("q") or kind == "randint":
        drawn = set(np.round(draws, 6))
        assert {round(value, 6) for value in values[:2]} <= drawn | (
            {round(values[0], 6)} if "normal" in kind else set()
        )
    else:
        assert all(isinstance(value, float) for value in values)


def test_ranges_of_whole_ends_are_tried_between_them() -> None:
    assert any(value != int(value) for value in representative_values(entry("uniform", [1, 9])))
    assert any(value != int(value) for value in representative_values(entry("loguniform", [1, 9])))
    assert all(value == int(value) for value in representative_values(entry("quniform", [1, 9, 2])))


def test_all_values_of_a_choice_and_of_nested_ones_the_first_of_each_entry() -> None:
    assert representative_values(entry("choice", [3, "a", None])) == [3, "a", None]
    assert representative_values(entry("choice", NESTED)) == [{"_name": "a", "x": 0.0}, {"_name": "b"}]
