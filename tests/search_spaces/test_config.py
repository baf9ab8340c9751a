"""Configurations and labels: validation messages and round trips."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Choice, EASRecSpace, SpaceConfig, candidate_label, parse_candidate_label

SMALL: dict[str, Any] = {"n_items": 20, "max_length": 8, "hidden": 16, "inner": 32, "heads": 2, "layers": 3}
SPACE = SpaceConfig(**SMALL)

# Ratios as people write them: whole and half and tenth percents.
RATIOS = st.integers(0, 999).map(lambda tenths: tenths / 1000)


@given(RATIOS, RATIOS)
def test_labels_are_read_back(hidden: float, inner: float) -> None:
    label = candidate_label(hidden, inner)
    assert "." not in label  # NNI refuses it
    back = parse_candidate_label(label)
    assert back == pytest.approx((hidden, inner), abs=1e-12)
    assert candidate_label(*back) == label


@given(st.tuples(RATIOS, RATIOS), st.tuples(RATIOS, RATIOS))
def test_labels_tell_candidates_apart(one: tuple[float, float], other: tuple[float, float]) -> None:
    assert (candidate_label(*one) == candidate_label(*other)) == (one == other)


@pytest.mark.parametrize(
    "hidden, inner, label",
    [(0.0, 0.0, "hidden0_inner0"), (0.25, 0.125, "hidden25_inner12p5"), (0.1, 0.07, "hidden10_inner7")],
)
def test_labels_are_readable(hidden: float, inner: float, label: str) -> None:
    assert candidate_label(hidden, inner) == label
    assert Choice(hidden_pruning=hidden, inner_pruning=inner, depth=1).label == label


@pytest.mark.parametrize(
    "label", ["", "hidden25", "hidden25_50", "inner25_hidden50", "hidden_inner", "hiddenx_inner5", "hidden1_innerp"]
)
def test_other_labels_are_refused(label: str) -> None:
    with pytest.raises(ValueError, match="one looks like 'hidden25_inner50'"):
        parse_candidate_label(label)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_as_a_value_error(text: str) -> None:
    try:
        parse_candidate_label(text)
    except ValueError as error:
        assert "is not a candidate label" in str(error)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"heads": 3}, "hidden_pruning=0.0 keeps 16 of hidden=16 dimensions, which heads=3 do not divide"),
        ({"hidden_pruning": [0, 0.45]}, "hidden_pruning=0.45 keeps 8.8 of hidden=16"),
        ({"hidden_pruning": [0.4375]}, "hidden_pruning=0.4375 keeps 9 of hidden=16 dimensions, which heads=2"),
        ({"inner_pruning": [0.3]}, "inner_pruning=0.3 keeps 22.4 of inner=32 dimensions: not a whole number"),
        ({"hidden_pruning": []}, "pruning ratios must be distinct numbers"),
        ({"inner_pruning": []}, "pruning ratios must be distinct numbers"),
        ({"inner_pruning": [0.5, 0.5]}, "pruning ratios must be distinct numbers"),
        ({"inner_pruning": [1.0]}, "pruning ratios must be distinct numbers"),
        ({"hidden_pruning": [-0.25]}, "pruning ratios must be distinct numbers"),
        ({"min_depth": 4}, "min_depth=4 is larger than layers=3"),
        ({"hiden": 16}, "Extra inputs are not permitted"),
        ({"hidden_pruning": [0, math.nan]}, "finite number"),
        ({"dropout": math.nan}, "finite number"),
        ({"gate_scale": math.inf}, "finite number"),
        ({"dropout": 1.0}, "less than 1"),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"n_items": 0}, "greater than or equal to 1"),
        ({"gate_layers": 3}, "Input should be 0, 1 or 2"),
        ({"direction": "both"}, "'causal' or 'bidirectional'"),
        ({"attention": "linrec", "attention_dropout": 0.1}, "remove attention_dropout"),
        ({"item_width": 4, "head": "core"}, "remove item_width"),
        (
            {
                "item_width": 4,
                "hidden_pruning": [0],
                "inner_pruning": [0],
                "min_depth": 3,
                "features": "fused",
                "feature_sizes": [3],
                "feature_values": [1],
            },
            "remove item_width",
        ),
        ({"dropout_scaling": "depth"}, "'none' or 'width'"),
        ({"dropout_scaling": "width", "head": "core"}, "remove dropout_scaling"),
        ({"key_norm": "none"}, "'row' or 'column'"),
    ],
)
def test_impossible_spaces_are_refused_with_the_reason(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpaceConfig(**SMALL | change)


def test_unknown_attention_is_refused_when_the_space_is_built() -> None:
    with pytest.raises(ValueError, match="attention='linear' is unknown; choose from linrec, softmax"):
        EASRecSpace(SpaceConfig(**SMALL, attention="linear"))


def test_candidates_are_all_pairs_and_the_largest_comes_first() -> None:
    config = SpaceConfig(**SMALL, hidden_pruning=(0.5, 0.0), inner_pruning=(0.25, 0.75, 0.0), min_depth=2)
    assert config.candidates == ((0.0, 0.0), (0.0, 0.25), (0.0, 0.75), (0.5, 0.0), (0.5, 0.25), (0.5, 0.75))
    assert config.depths == (2, 3)
    assert config.largest == Choice(hidden_pruning=0, inner_pruning=0, depth=3)
    architectures = config.architectures()
    assert len(architectures) == len(set(architectures)) == 12
    assert architectures[0] == Choice(hidden_pruning=0, inner_pruning=0, depth=2)
    for architecture in architectures:
        assert config.choice(architecture) == architecture


@pytest.mark.parametrize(
    "architecture, message",
    [
        ({"hidden_pruning": 0.3, "inner_pruning": 0.5, "depth": 2}, "hidden_pruning=0.3 is not in this space; .*0.25"),
        ({"hidden_pruning": 0.25, "inner_pruning": 0.4, "depth": 2}, "inner_pruning=0.4 is not in this space"),
        ({"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 4}, "depth=4 is not in this space; .* 1, 2, 3"),
        ({"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 0}, "greater than or equal to 1"),
        ({"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 1.5}, "valid integer"),
        ({"hidden_pruning": math.nan, "inner_pruning": 0.5, "depth": 1}, "finite number"),
        ({"hidden_pruning": 0.25, "inner_pruning": 0.5}, "Field required"),
        ({"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 2, "width": 3}, "Extra inputs"),
        ({"pruning": "hidden25_inner40", "depth": 2}, "inner_pruning=0.4 is not in this space"),
        ({"pruning": "hidden25_inner50", "depth": 9}, "depth=9 is not in this space"),
        ({"pruning": "large", "depth": 2}, "is not a candidate label"),
        ({"pruning": "hidden25_inner50", "depth": 2, "width": 3}, "width"),
        ({"pruning": 3, "depth": 2}, "is not a candidate label"),
    ],
)
def test_architectures_outside_the_space_are_refused(architecture: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SPACE.choice(architecture)


def test_the_three_ways_to_write_an_architecture_mean_the_same() -> None:
    choice = Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=2)
    assert SPACE.choice(choice) == choice
    assert SPACE.choice({"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 2}) == choice
    assert SPACE.choice({"pruning": "hidden25_inner50", "depth": 2}) == choice


def test_ratios_with_more_digits_than_their_label_are_found_by_it() -> None:
    config = SpaceConfig(**SMALL | {"hidden": 24}, hidden_pruning=(0, 1 / 3), inner_pruning=(0, 0.0625))
    for choice in config.architectures():
        assert config.choice({"pruning": choice.label, "depth": choice.depth}) == choice


def test_ratios_that_are_no_binary_fractions_are_found_by_their_label() -> None:
    # 0.1 * 100 / 100 and 1 - 0.7 are not the floats 0.1 and 0.3.
    config = SpaceConfig(**SMALL | {"hidden": 20, "inner": 30}, hidden_pruning=(0.1, 0.7), inner_pruning=(0.1, 0.3))
    for choice in config.architectures():
        parsed = config.choice({"pruning": choice.label, "depth": choice.depth})
        assert parsed.label == choice.label
        assert config.compact(parsed).hidden == round(20 * (1 - choice.hidden_pruning))
    assert config.compact({"pruning": "hidden70_inner30", "depth": 1}).inner == 21


def test_nni_samples_are_understood() -> None:
    space = EASRecSpace(SPACE)
    seen = set()
    for seed in range(40):
        sample: dict[str, Any] = {}
        random.seed(seed)
        space.random(sample)
        choice = SPACE.choice(sample)
        assert choice in SPACE.architectures()
        assert sample == {"pruning": choice.label, "depth": choice.depth}
        seen.add(choice)
    assert len(seen) > 10


def test_compact_is_one_architecture_of_the_right_size() -> None:
    for choice in SPACE.architectures():
        compact = SPACE.compact(choice)
        assert compact.is_fixed and not SPACE.is_fixed
        assert compact.hidden == {0.0: 16, 0.25: 12, 0.5: 8}[choice.hidden_pruning]
        assert compact.inner == {0.0: 32, 0.25: 24, 0.5: 16}[choice.inner_pruning]
        assert compact.layers == choice.depth
        # It is a valid space by itself, whose one architecture it stands for, ...
        assert SpaceConfig(**compact.model_dump()) == compact
        assert compact.architectures() == [Choice(hidden_pruning=0, inner_pruning=0, depth=choice.depth)]
        assert compact.compact(compact.largest) == compact
        # ... and all that is not a choice is as it was.
        changed = {"hidden", "inner", "layers", "min_depth", "hidden_pruning", "inner_pruning", "supernet"}
        assert compact.model_dump(exclude=changed) == SPACE.model_dump(exclude=changed)


def test_a_field_of_earlier_versions_is_read_and_not_written() -> None:
    document = SPACE.model_dump(mode="json")
    assert "item_initialisation" not in document
    assert (
        SpaceConfig.model_validate_json(json.dumps(document | {"item_initialisation": "normal"}), strict=True) == SPACE
    )
    with pytest.raises(ValueError, match="item_initialisation\n.*'normal'"):
        SpaceConfig(**SMALL, item_initialisation="xavier_normal")
