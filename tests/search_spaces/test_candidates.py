from __future__ import annotations

import pytest
import torch

from search_spaces.candidates import _padded_sum


@pytest.mark.parametrize("widths", [(8,), (5,), (2, 8), (8, 5, 2), (5, 2)])
def test_sums_of_padded_tensors(widths: tuple[int, ...]) -> None:
    by_width = {width: torch.randn(3, 4, width) for width in widths}
    plain = torch.zeros(3, 4, 8)
    for width, tensor in by_width.items():
        plain[..., :width] += tensor
    torch.testing.assert_close(_padded_sum(by_width, 8), plain)
