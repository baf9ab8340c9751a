"""Contract of every registered form of attention, and properties of single forms.

Forms are compared with plain loops: one query, one key and one feature at a time, as the equations are written. Whole
networks with each form are in ``test_space.py`` (padding, causality, pruned slices) and ``test_cost.py`` (operators).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces import SpaceConfig
from search_spaces.attention import (
    ATTENTIONS,
    CHUNK,
    AttentionCore,
    LinformerAttention,
    causal_linear_attention,
    efficient_attention,
    elu_attention,
    linrec_attention,
    make_attention,
    softmax_attention,
)
from search_spaces.config import ATTENTION_NAMES, BIDIRECTIONAL_ONLY
from search_spaces.exponent import LARGEST_EXPONENT

BATCH, HEADS, LENGTH, WIDTH = 3, 2, 6, 4
RANK = 3
NAMES = [(name, "row") for name in ATTENTIONS] + [("linrec", "column")]  # no other form reads it
CASES = [
    (name, key_norm, causal)
    for name, key_norm in NAMES
    for causal in (False, True)
    if not (causal and name in BIDIRECTIONAL_ONLY)
]
EVERY = pytest.mark.parametrize("name, key_norm, causal", CASES)
CAUSAL = pytest.mark.parametrize("name, key_norm", [(name, key_norm) for name, key_norm, causal in CASES if causal])
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


def make_form(name: str, window: int = LENGTH) -> AttentionCore:
    """Form of attention in float64, with random weights if it has any."""
    torch.manual_seed(11)
    config = SpaceConfig(n_items=1, max_length=window, attention=name, direction="bidirectional", linformer_rank=RANK)
    form = make_attention(config)
    return form.double() if isinstance(form, torch.nn.Module) else form


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


def elu_at(query: list[float], keys: list[list[float]], values: list[list[float]]) -> list[float]:
    """Katharopoulos et al.: weights are similarities phi(q) phi(k) over their sum."""
    similar = [sum((elu(q) + 1) * (elu(k) + 1) for q, k in zip(query, key, strict=True)) for key in keys]
    return [
        sum(s * value[j] for s, value in zip(similar, values, strict=True)) / sum(similar) for j in range(len(query))
    ]


def efficient_at(query: list[float], keys: list[list[float]], values: list[list[float]]) -> list[float]:
    """Shen et al.: the query's softmax over features chooses among maps, each a softmax over positions."""
    out = [0.0] * len(query)
    for j in range(len(query)):
        weight = math.exp(query[j]) / sum(math.exp(q) for q in query)
        total = sum(math.exp(key[j]) for key in keys)
        for key, value in zip(keys, values, strict=True):
            out = [o + weight * math.exp(key[j]) / total * v for o, v in zip(out, value, strict=True)]
    return out


def linformer_at(
    query: list[float], keys: list[list[float]], values: list[list[float]], form: LinformerAttention
) -> list[float]:
    """Wang et al.: a softmax over mixtures of the positions; the newest position has the first row."""
    mixtures = []
    for tensors, weight in ((keys, form.keys.tolist()), (values, form.values.tolist())):
        rows = [
            [sum(weight[age][r] * row[j] for age, row in enumerate(reversed(tensors))) for j in range(len(query))]
            for r in range(RANK)
        ]
        mixtures.append(rows)
    return softmax_at(query, mixtures[0], mixtures[1])


Rows = list[list[float]]
# A form that is registered without a reference here fails.
REFERENCES: dict[str, Callable[[list[float], Rows, Rows, str, Any], list[float]]] = {
    "linrec": lambda query, keys, values, key_norm, form: linrec_at(query, keys, values, key_norm),
    "softmax": lambda query, keys, values, *_: softmax_at(query, keys, values),
    "elu": lambda query, keys, values, *_: elu_at(query, keys, values),
    "efficient": lambda query, keys, values, *_: efficient_at(query, keys, values),
    "linformer": lambda query, keys, values, key_norm, form: linformer_at(query, keys, values, form),
}


def by_loops(
    name: str, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, causal: bool, key_norm: str, form: AttentionCore
) -> Tensor:
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
                out[b, h, t] = torch.tensor(REFERENCES[name](one, keys, values, key_norm, form), dtype=out.dtype)
    return out


def real(tensor: Tensor, mask: Tensor) -> Tensor:
    """Values at unpadded positions."""
    return tensor.transpose(1, 2)[mask]


@pytest.mark.parametrize("padding", MASKS)
@EVERY
def test_attention_is_what_plain_loops_give(name: str, key_norm: str, causal: bool, padding: str) -> None:
    query, key, value = make_inputs()
    mask = torch.tensor(MASKS[padding]).bool()
    form = make_form(name)
    result = form(query, key, value, mask, causal, key_norm, 0.0)
    expected = by_loops(name, query, key, value, mask, causal, key_norm, form)
    torch.testing.assert_close(real(result, mask), real(expected, mask), rtol=1e-10, atol=1e-12)


@EVERY
def test_a_row_of_a_batch_is_computed_alone_and_alike_every_time(name: str, key_norm: str, causal: bool) -> None:
    query, key, value = make_inputs(21, LENGTH)
    mask = torch.tensor(MASKS["scattered"]).bool()
    form = make_form(name)
    together = form(query, key, value, mask, causal, key_norm, 0.0)
    assert together.shape == (BATCH, HEADS, LENGTH, WIDTH) and together.dtype == torch.float64
    assert torch.equal(form(query, key, value, mask, causal, key_norm, 0.0), together)
    assert torch.equal(make_form(name)(query, key, value, mask, causal, key_norm, 0.0), together), "a seed decides"
    for row in range(BATCH):
        one = slice(row, row + 1)
        alone = form(query[one], key[one], value[one], mask[one], causal, key_norm, 0.0)
        torch.testing.assert_close(alone, together[one], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("length", [1, 7, CHUNK + 3])
@CAUSAL
def test_causal_attention_at_t_is_bidirectional_attention_on_the_prefix(name: str, key_norm: str, length: int) -> None:
    form = make_form(name)
    query, key, value = make_inputs(1, length)
    # Some padding on the left of one row and in the middle of another.
    mask = torch.ones(BATCH, length, dtype=torch.bool)
    mask[1, : length // 3] = False
    mask[2, length // 2 : length - 1] = False
    causal = form(query, key, value, mask, True, key_norm, 0.0)
    for t in range(length):
        prefix = slice(0, t + 1)
        alone = form(query[:, :, prefix], key[:, :, prefix], value[:, :, prefix], mask[:, prefix], False, key_norm, 0.0)
        rows = mask[:, t]
        torch.testing.assert_close(causal[rows][:, :, t], alone[rows][:, :, -1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("length", [7, 2 * CHUNK + 3])
@CAUSAL
def test_no_future_however_large_changes_the_past(name: str, key_norm: str, length: int) -> None:
    # In float32, where a shift by the largest key of the future would leave nothing of the past.
    query, key, value = (tensor.float() for tensor in make_inputs(8, length))
    mask = torch.ones(BATCH, length, dtype=torch.bool)
    mask[1, :2] = False
    form, half = make_form(name), length // 2
    before = form(query, key, value, mask, True, key_norm, 0.0)
    later = [tensor.clone() for tensor in (query, key, value)]
    for tensor in later:
        tensor[:, :, half:] = 200 * torch.randn(tensor[:, :, half:].shape, generator=torch.Generator().manual_seed(9))
    after = form(*later, mask, True, key_norm, 0.0)
    torch.testing.assert_close(after[:, :, :half], before[:, :, :half], rtol=1e-5, atol=1e-6)
    assert (after[:, :, half:] - before[:, :, half:]).abs().max() > 0.1
    assert after.isfinite().all()
    # And the past counts: without it the result is another one.
    key[:, :, 0] += 1
    changed = form(query, key, value, mask, True, key_norm, 0.0)
    assert (changed - before)[0, :, 1:half].abs().max() > 1e-3


def test_the_two_key_norms_differ() -> None:
    query, key, value = make_inputs()
    mask = torch.ones(BATCH, LENGTH, dtype=torch.bool)
    row, column = (linrec_attention(query, key, value, mask, False, norm, 0.0) for norm in ("row", "column"))
    assert (row - column).abs().max() > 0.01


@pytest.mark.parametrize("exporting", [False, True], ids=["loop", "exported form"])
@pytest.mark.parametrize("chunk", [1, 5, CHUNK])
@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_chunked_causal_attention_is_the_running_sum(
    length: int, chunk: int, exporting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: exporting)
    query, key, value = make_inputs(2, length, width=3, batch=2)
    result = causal_linear_attention(query, key, value, chunk)
    state = torch.zeros(2, HEADS, 3, 3, dtype=torch.float64)
    expected = torch.empty_like(query)
    for t in range(length):
        state = state + key[:, :, t, :, None] * value[:, :, t, None, :]
        expected[:, :, t] = (query[:, :, t, :, None] * state).sum(-2)
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 4, 64])
@pytest.mark.parametrize("length", [1, 4, 5, 12, 14])
def test_gradients_by_chunks_are_those_of_the_whole_product(length: int, chunk: int) -> None:
    torch.manual_seed(length)
    tensors = [torch.randn(2, 3, length, 5, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    other = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    outer = torch.randn(2, 3, length, 5, dtype=torch.float64)
    actual, expected = causal_linear_attention(*tensors, chunk), (other[0] @ other[1].mT).tril() @ other[2]
    torch.testing.assert_close(actual, expected)
    gradients = (
        torch.autograd.grad((actual * outer).sum(), tensors),
        torch.autograd.grad((expected * outer).sum(), other),
    )
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)
    assert torch.autograd.gradcheck(lambda *all_: causal_linear_attention(*all_, chunk), tensors)


@pytest.mark.parametrize("padding", ["left", "right", "scattered", "empty"])
@EVERY
def test_gradients_are_finite_and_masked_keys_get_none(name: str, key_norm: str, causal: bool, padding: str) -> None:
    tensors = [tensor.requires_grad_() for tensor in make_inputs(3)]
    mask = torch.tensor(MASKS.get(padding, [[0] * LENGTH] * BATCH)).bool()
    result = make_form(name)(*tensors, mask, causal, key_norm, 0.0)
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


@EVERY
def test_gradients_are_those_of_finite_differences(name: str, key_norm: str, causal: bool) -> None:
    tensors = [tensor.requires_grad_() for tensor in make_inputs(4, length=3, width=2, batch=1)]
    mask = torch.tensor([[True, False, True]])

    def function(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out: Tensor = make_form(name)(query, key, value, mask, causal, key_norm, 0.0)
        return out[:, :, [0, 2]]

    assert torch.autograd.gradcheck(function, tensors)


@pytest.mark.parametrize("padding", ["none", "left"])
@EVERY
def test_a_single_query_is_the_last_row_of_the_full_form(name: str, key_norm: str, causal: bool, padding: str) -> None:
    query, key, value = make_inputs(5)
    mask = torch.tensor(MASKS[padding]).bool()
    full = make_form(name)(query, key, value, mask, causal, key_norm, 0.0)
    single = make_form(name)(query[:, :, -1:], key, value, mask, causal, key_norm, 0.0)
    assert single.shape == (BATCH, HEADS, 1, WIDTH)
    torch.testing.assert_close(single, full[:, :, -1:], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("queries", ["all", "newest"])
@EVERY
def test_a_row_without_any_key_does_not_become_nan(
    name: str, key_norm: str, causal: bool, queries: str, length: int
) -> None:
    query, key, value = make_inputs(6, length)
    mask = torch.ones(BATCH, length, dtype=torch.bool)
    mask[1] = False
    query = query if queries == "all" else query[:, :, -1:]
    result = make_form(name)(query, key, value, mask, causal, key_norm, 0.0)
    assert result.isfinite().all()
    without = make_form(name)(query[[0, 2]], key[[0, 2]], value[[0, 2]], mask[[0, 2]], causal, key_norm, 0.0)
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
    full = softmax_attention(query, key, value, mask, False, "row", 0.0)
    dropped = softmax_attention(query, key, value, mask, False, "row", 0.5)
    # Weights sum to one, and so each output is one unless some were dropped.
    torch.testing.assert_close(full, torch.ones_like(full))
    assert (dropped != 1).any()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("form", [elu_attention, efficient_attention], ids=["elu", "efficient"])
@pytest.mark.parametrize("shift", [0.0, 4.0])  # the weights before they are divided by their sum: large, and tiny
def test_weights_of_all_keys_sum_to_one(shift: float, form: AttentionCore, causal: bool) -> None:
    query, key, _ = make_inputs(12, 9)
    query, key = query - shift, key - shift
    mask = torch.ones(BATCH, 9, dtype=torch.bool)
    mask[0, :3] = False
    result = form(query, key, torch.ones_like(key), mask, causal, "row", 0.0)
    torch.testing.assert_close(real(result, mask), torch.ones_like(real(result, mask)), rtol=1e-10, atol=0)


@pytest.mark.parametrize("size", [-500.0, -50.0, 50.0, 500.0])
@EVERY
def test_extreme_logits_give_numbers_and_gradients(name: str, key_norm: str, causal: bool, size: float) -> None:
    tensors = [tensor.float().mul(size).requires_grad_() for tensor in make_inputs(13)]
    mask = torch.tensor(MASKS["left"]).bool()
    form = make_form(name)
    result = (form.float() if isinstance(form, torch.nn.Module) else form)(*tensors, mask, causal, key_norm, 0.0)
    assert result.isfinite().all()
    for gradient in torch.autograd.grad(result.sum(), tensors):
        assert gradient.isfinite().all()


@torch.no_grad()
def test_efficient_attention_is_exact_up_to_where_it_clips() -> None:
    query, _, value = make_inputs(14, 3, width=2, batch=1)
    mask = torch.ones(1, 3, dtype=torch.bool)
    key = torch.tensor([LARGEST_EXPONENT, LARGEST_EXPONENT - 1, -LARGEST_EXPONENT], dtype=torch.float64)
    key = key[:, None].expand(1, HEADS, 3, 2)
    weights = key.softmax(dim=-2)[..., :1]
    for inputs in ((query, key, value), (query.float(), key.float(), value.float())):
        actual = efficient_attention(*inputs, mask, False, "row", 0.0).double()
        torch.testing.assert_close(
            actual, (weights * value).sum(-2, keepdim=True).expand_as(actual), rtol=1e-5, atol=1e-6
        )
    beyond = efficient_attention(query, key + 1, value, mask, False, "row", 0.0)
    assert (beyond - efficient_attention(query, key, value, mask, False, "row", 0.0)).abs().max() > 0.01


def test_linformer_has_no_causal_form() -> None:
    query, key, value = make_inputs(15)
    with pytest.raises(ValueError, match="no causal form: set direction='bidirectional'"):
        make_form("linformer")(query, key, value, torch.ones(BATCH, LENGTH, dtype=torch.bool), True, "row", 0.0)


def test_linformer_owns_weights_of_a_rank_that_is_at_most_the_window() -> None:
    for window, rank in ((LENGTH, RANK), (2, 2)):
        form = make_form("linformer", window)
        assert isinstance(form, LinformerAttention)
        assert {name: tuple(weight.shape) for name, weight in form.named_parameters()} == {
            "keys": (window, rank),
            "values": (window, rank),
        }
        assert (form.keys - form.values).abs().max() > 0.1  # separate projections


def test_gradients_of_linformers_own_weights_are_those_of_finite_differences() -> None:
    form = make_form("linformer")
    assert isinstance(form, LinformerAttention)
    query, key, value = make_inputs(16, length=4, width=2, batch=2)
    mask = torch.tensor([[False, True, True, True], [True, False, True, False]])

    def function(keys: Tensor, values: Tensor) -> Tensor:
        inputs = (query, key, value, mask, False, "row", 0.0)
        return torch.func.functional_call(form, {"keys": keys, "values": values}, inputs)

    weights = [weight.detach().clone().requires_grad_() for weight in (form.keys, form.values)]
    assert torch.autograd.gradcheck(function, weights)
    # Rows of positions that no sequence has are not touched.
    for gradient in torch.autograd.grad(function(*weights).sum(), weights):
        assert (gradient[:3] != 0).any(dim=1).all()
        assert (gradient[3:] == 0).all()


def test_linformer_drops_weights_only_when_asked_to() -> None:
    form = make_form("linformer")
    query, key, value = make_inputs(17)
    mask = torch.ones(BATCH, LENGTH, dtype=torch.bool)
    torch.manual_seed(0)
    full = form(query, key, value, mask, False, "row", 0.0)
    assert torch.equal(form(query, key, value, mask, False, "row", 0.0), full)
    assert not torch.equal(form(query, key, value, mask, False, "row", 0.5), full)


def test_an_unknown_form_is_refused_with_the_known_ones() -> None:
    config = SpaceConfig(n_items=1, attention="linreg")
    with pytest.raises(ValueError, match="attention='linreg' is unknown; choose from linrec, softmax, elu"):
        make_attention(config)


def test_files_may_name_every_form_and_no_other() -> None:
    assert tuple(ATTENTIONS) == ATTENTION_NAMES
