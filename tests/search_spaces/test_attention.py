"""Attention against plain loops: one query, one key and one feature at a time, as the equations are written."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from search_spaces.attention import (
    ATTENTIONS,
    CHUNK,
    causal_linear_attention,
    linrec_attention,
    softmax_attention,
)

BATCH, HEADS, LENGTH, WIDTH = 3, 2, 6, 4
# Padding on the left, in the middle, at the end, and none.
MASKS = {
    "none": [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]],
    "left": [[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]],
    "right": [[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0]],
    "scattered": [[1, 0, 1, 0, 0, 1], [0, 1, 1, 0, 1, 0], [1, 1, 0, 1, 1, 1]],
}


def make_inputs(
    seed: int = 0, length: int = LENGTH, width: int = WIDTH, batch: int = BATCH
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values in float64, so that only a wrong formula can differ."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value = torch.randn(3, batch, HEADS, length, width, generator=generator, dtype=torch.float64).unbind(0)
    return query, key, value


def elu(x: float) -> float:
    return x if x > 0 else math.exp(x) - 1


def linrec_at(query: list[float], keys: list[list[float]], values: list[list[float]], key_norm: str) -> list[float]:
    """Eq. 5 for one query over the keys that it may see, without any vector operation."""
    width = len(query)
    activated = [elu(x) for x in query]
    norm = math.sqrt(sum(x * x for x in activated))
    activated = [x / norm / math.sqrt(width) for x in activated]
    rows = [[elu(x) for x in key] for key in keys]
    if key_norm == "column":
        norms = [math.sqrt(sum(row[j] ** 2 for row in rows)) for j in range(width)]
        rows = [[row[j] / norms[j] / math.sqrt(width) for j in range(width)] for row in rows]
    else:
        rows = [[x / math.sqrt(sum(y * y for y in row)) / math.sqrt(width) for x in row] for row in rows]
    out = [0.0] * width
    for row, value in zip(rows, values, strict=True):
        product = sum(activated[j] * row[j] for j in range(width))
        out = [total + product * value[j] for j, total in enumerate(out)]
    return out


def softmax_at(query: list[float], keys: list[list[float]], values: list[list[float]]) -> list[float]:
    """Scaled dot-product attention of one query."""
    exponents = [math.exp(sum(q * k for q, k in zip(query, key, strict=True)) / math.sqrt(len(query))) for key in keys]
    return [
        sum(e * value[j] for e, value in zip(exponents, values, strict=True)) / sum(exponents)
        for j in range(len(query))
    ]


def by_loops(name: str, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str) -> Tensor:
    """Reference for every position that holds an interaction; NaN elsewhere."""
    out = torch.full_like(query, torch.nan)
    for b in range(query.shape[0]):
        for h in range(query.shape[1]):
            for t in range(query.shape[2]):
                seen = [s for s in range(key.shape[2]) if mask[b, s] and (not causal or s <= t)]
                if not mask[b, t]:
                    continue
                keys, values = key[b, h, seen].tolist(), value[b, h, seen].tolist()
                one = query[b, h, t].tolist()
                result = linrec_at(one, keys, values, key_norm) if name == "linrec" else softmax_at(one, keys, values)
                out[b, h, t] = torch.tensor(result, dtype=out.dtype)
    return out


def real(tensor: Tensor, mask: Tensor) -> Tensor:
    """Values at unpadded positions."""
    return tensor.transpose(1, 2)[mask]


@pytest.mark.parametrize("padding", MASKS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name, key_norm", [("linrec", "column"), ("linrec", "row"), ("softmax", "row")])
def test_attention_is_what_plain_loops_give(name: str, key_norm: str, causal: bool, padding: str) -> None:
    query, key, value = make_inputs()
    mask = torch.tensor(MASKS[padding]).bool()
    result = ATTENTIONS[name](query, key, value, mask, causal, key_norm, 0.0)
    expected = by_loops(name, query, key, value, mask, causal, key_norm)
    torch.testing.assert_close(real(result, mask), real(expected, mask), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("key_norm", ["column", "row"])
@pytest.mark.parametrize("length", [1, 7, CHUNK + 3])
def test_causal_linrec_at_t_is_bidirectional_linrec_on_the_prefix(length: int, key_norm: str) -> None:
    query, key, value = make_inputs(1, length)
    # Some padding on the left of one row and in the middle of another.
    mask = torch.ones(BATCH, length, dtype=torch.bool)
    mask[1, : length // 3] = False
    mask[2, length // 2 : length - 1] = False
    causal = linrec_attention(query, key, value, mask, True, key_norm, 0.0)
    for t in range(length):
        prefix = slice(0, t + 1)
        alone = linrec_attention(
            query[:, :, prefix], key[:, :, prefix], value[:, :, prefix], mask[:, prefix], False, key_norm, 0.0
        )
        rows = mask[:, t]
        torch.testing.assert_close(causal[rows][:, :, t], alone[rows][:, :, -1], rtol=1e-9, atol=1e-11)


def test_the_two_key_norms_differ() -> None:
    query, key, value = make_inputs()
    mask = torch.ones(BATCH, LENGTH, dtype=torch.bool)
    row, column = (linrec_attention(query, key, value, mask, False, norm, 0.0) for norm in ("row", "column"))
    assert (row - column).abs().max() > 0.01


@pytest.mark.parametrize("chunk", [1, 5, CHUNK])
@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_chunked_causal_attention_is_the_running_sum(length: int, chunk: int) -> None:
    query, key, value = make_inputs(2, length, width=3, batch=2)
    result = causal_linear_attention(query, key, value, chunk)
    state = torch.zeros(2, HEADS, 3, 3, dtype=torch.float64)
    expected = torch.empty_like(query)
    for t in range(length):
        state = state + key[:, :, t, :, None] * value[:, :, t, None, :]
        expected[:, :, t] = (query[:, :, t, :, None] * state).sum(-2)
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("padding", ["left", "right", "scattered", "empty"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name, key_norm", [("linrec", "column"), ("linrec", "row"), ("softmax", "row")])
def test_gradients_are_finite_and_masked_keys_get_none(name: str, key_norm: str, causal: bool, padding: str) -> None:
    tensors = [tensor.requires_grad_() for tensor in make_inputs(3)]
    mask = torch.tensor(MASKS.get(padding, [[0] * LENGTH] * BATCH)).bool()
    result = ATTENTIONS[name](*tensors, mask, causal, key_norm, 0.0)
    assert result.isfinite().all()
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    # A loss reads real positions only; what padded ones hold has no meaning.
    (result * weights * mask[:, None, :, None]).sum().backward()
    for tensor in tensors:
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
    for tensor in tensors[1:]:
        assert tensor.grad is not None
        assert (real(tensor.grad, ~mask) == 0).all()
    if padding != "empty":
        assert tensors[2].grad is not None
        assert (real(tensors[2].grad, mask) != 0).any()


@pytest.mark.parametrize("name, key_norm", [("linrec", "column"), ("linrec", "row"), ("softmax", "row")])
@pytest.mark.parametrize("causal", [False, True])
def test_gradients_are_those_of_finite_differences(name: str, key_norm: str, causal: bool) -> None:
    tensors = [tensor.requires_grad_() for tensor in make_inputs(4, length=3, width=2, batch=1)]
    mask = torch.tensor([[True, False, True]])

    def function(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out: Tensor = ATTENTIONS[name](query, key, value, mask, causal, key_norm, 0.0)
        return out[:, :, [0, 2]]

    assert torch.autograd.gradcheck(function, tensors)


@pytest.mark.parametrize("padding", ["none", "left"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name, key_norm", [("linrec", "column"), ("linrec", "row"), ("softmax", "row")])
def test_a_single_query_is_the_last_row_of_the_full_form(name: str, key_norm: str, causal: bool, padding: str) -> None:
    query, key, value = make_inputs(5)
    mask = torch.tensor(MASKS[padding]).bool()
    full = ATTENTIONS[name](query, key, value, mask, causal, key_norm, 0.0)
    single = ATTENTIONS[name](query[:, :, -1:], key, value, mask, causal, key_norm, 0.0)
    assert single.shape == (BATCH, HEADS, 1, WIDTH)
    torch.testing.assert_close(single, full[:, :, -1:], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("queries", ["all", "newest"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name, key_norm", [("linrec", "column"), ("linrec", "row"), ("softmax", "row")])
def test_a_row_without_any_key_does_not_become_nan(
    name: str, key_norm: str, causal: bool, queries: str, length: int
) -> None:
    query, key, value = make_inputs(6, length)
    mask = torch.ones(BATCH, length, dtype=torch.bool)
    mask[1] = False
    query = query if queries == "all" else query[:, :, -1:]
    result = ATTENTIONS[name](query, key, value, mask, causal, key_norm, 0.0)
    assert result.isfinite().all()
    without = ATTENTIONS[name](query[[0, 2]], key[[0, 2]], value[[0, 2]], mask[[0, 2]], causal, key_norm, 0.0)
    torch.testing.assert_close(result[[0, 2]], without, rtol=1e-12, atol=1e-14)


def test_zero_queries_and_keys_give_no_nan() -> None:
    # elu(0) = 0: such vectors have no direction to be normalised to.
    zeros = torch.zeros(1, 1, 3, 2, requires_grad=True)
    value = torch.ones(1, 1, 3, 2)
    mask = torch.ones(1, 3, dtype=torch.bool)
    for key_norm in ("row", "column"):
        for causal in (False, True):
            result = linrec_attention(zeros, zeros, value, mask, causal, key_norm, 0.0)
            (gradient,) = torch.autograd.grad(result.sum(), zeros)
            assert (result == 0).all()
            assert gradient.isfinite().all()


def test_softmax_attention_drops_weights_only_when_asked_to() -> None:
    query, key, _ = make_inputs(7)
    value = torch.ones_like(key)
    mask = torch.ones(BATCH, LENGTH, dtype=torch.bool)
    torch.manual_seed(0)
    kept = softmax_attention(query, key, value, mask, False, "row", 0.0)
    dropped = softmax_attention(query, key, value, mask, False, "row", 0.5)
    # Weights sum to one, and so each output is one unless some were dropped.
    torch.testing.assert_close(kept, torch.ones_like(kept))
    assert (dropped != 1).any()
