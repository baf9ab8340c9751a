"""Attention in pieces against the plain forms over the whole sequence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from search_spaces import SpaceConfig
from search_spaces.attention import ATTENTIONS, linrec_attention
from search_spaces.attention.running import RUNNING_FORMS, RunningAttention, has_sums

EVERY = pytest.mark.parametrize(
    ("form", "key_norm"), [*((form, "row") for form in RUNNING_FORMS), ("linrec", "column")]
)
BATCH, HEADS, LENGTH, WIDTH = 3, 2, 150, 8


def inputs(seed: int = 0) -> tuple[list[Tensor], Tensor]:
    """Queries, keys and values, and a mask with gaps."""
    torch.manual_seed(seed)
    tensors = [torch.randn(BATCH, HEADS, LENGTH, WIDTH, dtype=torch.float64) for _ in range(3)]
    mask = torch.rand(BATCH, LENGTH) < 0.8
    mask[:, 0] = True  # a query before the first key divides by nothing
    return tensors, mask


def empty_state(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return torch.zeros(BATCH, HEADS, WIDTH, WIDTH, dtype=dtype), torch.zeros(BATCH, HEADS, WIDTH, dtype=dtype)


@pytest.mark.parametrize("pieces", [(1,) * LENGTH, (64, 64, 22), (1, 100, 49), (LENGTH,)], ids=lambda p: f"{len(p)}")
@EVERY
def test_pieces_give_what_the_whole_gives(form: str, key_norm: str, pieces: tuple[int, ...]) -> None:
    tensors, mask = inputs()
    running = RunningAttention(form, *empty_state())
    parts = zip(*(tensor.split(pieces, dim=2) for tensor in tensors), mask.split(pieces, dim=1), strict=True)
    actual = torch.cat([running(*part, True, key_norm, 0.0) for part in parts], dim=2)
    expected = ATTENTIONS[form](*tensors, mask, True, key_norm, 0.0)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@EVERY
def test_a_single_query_stands_for_the_end_of_the_piece(form: str, key_norm: str) -> None:
    (query, key, value), mask = inputs()
    running = RunningAttention(form, *empty_state())
    running(query[:, :, :90], key[:, :, :90], value[:, :, :90], mask[:, :90], True, key_norm, 0.0)
    actual = running(query[:, :, -1:], key[:, :, 90:], value[:, :, 90:], mask[:, 90:], True, key_norm, 0.0)
    expected = ATTENTIONS[form](query[:, :, -1:], key, value, mask, True, key_norm, 0.0)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def test_the_state_may_have_more_digits_than_the_block() -> None:
    tensors, mask = inputs()
    single = [tensor.float() for tensor in tensors]
    running = RunningAttention("linrec", *empty_state())
    out = running(*single, mask, True, "column", 0.0)
    assert out.dtype == torch.float32 and running.products.dtype == running.sums.dtype == torch.float64
    torch.testing.assert_close(out, linrec_attention(*single, mask, True, "column", 0.0))


def test_the_given_state_is_left_alone() -> None:
    tensors, mask = inputs()
    products, sums = empty_state()
    RunningAttention("elu", products, sums)(*tensors, mask, True, "row", 0.0)
    assert not products.any() and not sums.any()


def test_forms_without_a_state_are_refused() -> None:
    with pytest.raises(ValueError, match="softmax.*no state.*linrec and elu"):
        RunningAttention("softmax", *empty_state())


def test_which_heads_have_sums() -> None:
    config = SpaceConfig(n_items=5)
    assert not has_sums(config.model_copy(update={"attention": "linrec", "key_norm": "row"}))
    assert has_sums(config.model_copy(update={"attention": "linrec", "key_norm": "column"}))
    assert has_sums(config.model_copy(update={"attention": "elu", "key_norm": "row"}))
