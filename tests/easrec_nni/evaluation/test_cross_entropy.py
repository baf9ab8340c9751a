"""Cross entropy of targets against a plain sum of exponentials."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from easrec_nni.common.errors import DivergedError
from easrec_nni.evaluation.cross_entropy import target_cross_entropy


@pytest.mark.parametrize("unknown", [(), (3, 5)])
@pytest.mark.parametrize("shift", [0.0, 300.0])
def test_it_is_the_negative_log_probability_among_the_items(shift: float, unknown: tuple[int, ...]) -> None:
    """Padding and unknown items are no alternatives; large scores do not overflow."""
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(0, 2, (6, 8)).astype(np.float32), np.array([1, 2, 4, 6, 7, 1])
    expected = [
        -math.log(math.exp(row[target]) / sum(math.exp(row[item]) for item in range(1, 8) if item not in unknown))
        for row, target in zip(scores.astype(float), targets, strict=True)
    ]
    given = torch.tensor(scores + np.float32(shift))
    excluded = torch.tensor(unknown, dtype=torch.int64) if unknown else None
    found = target_cross_entropy(given, torch.tensor(targets), excluded)
    assert found.tolist() == pytest.approx(expected, abs=1e-4)
    assert torch.equal(given, torch.tensor(scores + np.float32(shift))), "the scores are unchanged"


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DivergedError, match="NaN"):
        target_cross_entropy(torch.tensor([[0.0, math.nan]]), torch.tensor([1]))
