"""Data-aware gates against Eq. 6 and 7, one number at a time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.gates import DataAwareGate

WIDTH, OUT = 5, 7


def make_gate(layers: int, scale: float = 2.0, width: int = WIDTH, out: int = OUT) -> DataAwareGate:
    """Gate with random weights and biases, in float64."""
    torch.manual_seed(layers)
    gate = DataAwareGate(width, out, layers, scale).double()
    with torch.no_grad():
        for weight in gate.parameters():
            weight.normal_(0, 0.7)
    return gate


def by_formula(gate: DataAwareGate, x: list[float], scale: float) -> list[float]:
    """Eq. 6 (left out for one dense layer) and Eq. 7 for one position."""
    if gate.crossing is not None:
        first, bias = gate.crossing.weight.tolist(), gate.crossing.bias.tolist()
        x = [max(0.0, sum(w * v for w, v in zip(row, x, strict=True)) + b) for row, b in zip(first, bias, strict=True)]
    second, bias = gate.perception.weight.tolist(), gate.perception.bias.tolist()
    before = [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(second, bias, strict=True)]
    return [scale / (1 + math.exp(-value)) for value in before]


@pytest.mark.parametrize("scale", [2.0, 0.5])
@pytest.mark.parametrize("layers", [1, 2])
def test_gate_is_the_formula(layers: int, scale: float) -> None:
    gate = make_gate(layers, scale)
    embedding = torch.randn(3, 4, WIDTH, dtype=torch.float64)
    result = gate(embedding, OUT)
    assert result.shape == (3, 4, OUT)
    expected = [[by_formula(gate, x, scale) for x in row] for row in embedding.tolist()]
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("layers", [1, 2])
@given(data=st.lists(st.floats(-20, 20), min_size=WIDTH, max_size=WIDTH), scale=st.sampled_from([0.5, 2.0]))
@settings(max_examples=30, deadline=None)
def test_gate_is_between_0_and_its_scale(layers: int, data: list[float], scale: float) -> None:
    # Small weights: in floating point a sigmoid of 40 is exactly 1.
    gate = make_gate(layers, scale)
    with torch.no_grad():
        for weight in gate.parameters():
            weight.mul_(0.1)
    values = gate(torch.tensor([[data]], dtype=torch.float64), OUT)
    assert ((values > 0) & (values < scale)).all()


def test_number_of_dense_layers() -> None:
    one, two = DataAwareGate(WIDTH, OUT, 1, 2.0), DataAwareGate(WIDTH, OUT, 2, 2.0)
    assert sum(weight.numel() for weight in one.parameters()) == OUT * (WIDTH + 1)
    assert sum(weight.numel() for weight in two.parameters()) == WIDTH * (WIDTH + 1) + OUT * (WIDTH + 1)
    with pytest.raises(ValueError, match="1 or 2 dense layers, not 3"):
        DataAwareGate(WIDTH, OUT, 3, 2.0)


@pytest.mark.parametrize("width, out", [(WIDTH, OUT), (3, OUT), (WIDTH, 2), (2, 4), (1, 1)])
@pytest.mark.parametrize("layers", [1, 2])
def test_slice_is_a_gate_of_its_own(layers: int, width: int, out: int) -> None:
    gate = make_gate(layers)
    small = DataAwareGate(width, out, layers, 2.0).double()
    small.load_state_dict(gate.sliced_state(width, out))
    embedding = torch.randn(2, 3, width, dtype=torch.float64)
    torch.testing.assert_close(gate(embedding, out), small(embedding, out), rtol=1e-12, atol=1e-14)
    expected = [[by_formula(small, x, 2.0) for x in row] for row in embedding.tolist()]
    torch.testing.assert_close(small(embedding, out), torch.tensor(expected, dtype=torch.float64))
