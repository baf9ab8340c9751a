"""Negative sampling: distribution of the draws, and reproducibility."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import pytest
import torch

from easrec_nni.data import Dataset
from easrec_nni.data.batches.evaluation import ArchitectureBatches
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.losses import WithNegatives, draw_negatives
from easrec_nni.training.losses.negatives import score_sampled


def test_every_set_of_items_is_as_likely_as_another() -> None:
    draws = 6000
    counts = Counter(tuple(sorted(draw_negatives(5, 2, seed).tolist())) for seed in range(draws))
    assert set(counts) == set(combinations(range(1, 6), 2))
    expected = draws / 10
    # Pearson's statistic has 9 degrees of freedom: above 27.9 in one of a thousand runs, and the seeds are fixed.
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 27.9


def test_a_large_catalogue_is_sampled_without_replacement_too() -> None:
    drawn = draw_negatives(1_000_000, 500, 3)
    assert drawn.dtype == torch.int64 and len(set(drawn.tolist())) == 500
    assert 1 <= drawn.min() and drawn.max() <= 1_000_000 and drawn.max() > 900_000 and drawn.min() < 100_000


def test_there_are_no_more_negatives_than_items() -> None:
    assert sorted(draw_negatives(6, 99, 0).tolist()) == [1, 2, 3, 4, 5, 6]


def drawn(batches: Any, epoch: int) -> list[list[int]]:
    batches.set_epoch(epoch)
    return [batch.negatives.tolist() for batch in batches]


def test_negatives_are_a_function_of_seed_epoch_and_step(tiny_dataset: Dataset) -> None:
    def make(seed: int) -> WithNegatives:
        return WithNegatives(TrainingBatches(tiny_dataset, 5, 8, "causal", seed), tiny_dataset.n_items, 6, seed)

    first, again = make(1), make(1)
    epochs = [drawn(first, epoch) for epoch in (0, 1, 2)]
    assert drawn(again, 2) == epochs[2], "earlier epochs do not matter"
    assert len(first) == len(epochs[0]) > 3
    assert len({tuple(items) for epoch in epochs for items in epoch}) == 3 * len(first)
    assert drawn(make(2), 0) != epochs[0]


def test_batches_are_those_without_negatives(tiny_dataset: Dataset) -> None:
    plain = TrainingBatches(tiny_dataset, 5, 8, "causal", 4)
    sampled = WithNegatives(TrainingBatches(tiny_dataset, 5, 8, "causal", 4), tiny_dataset.n_items, 6, 4)
    for source in (plain, sampled):
        source.set_epoch(3)
    for expected, result in zip(plain, sampled, strict=True):
        assert expected.negatives is None and torch.equal(expected.ids, result.ids)
        assert torch.equal(expected.targets, result.targets)


def test_settings_decide_whether_batches_carry_negatives(tiny_dataset: Dataset) -> None:
    sampled = TrialContext.open(TrialSettings(data="tiny", loss="gbce", negatives=9), tiny_dataset)
    train, architecture = sampled.training_batches(8), sampled.architecture_batches()
    firsts = [next(iter(batches)).negatives for batches in (train, architecture)]
    assert all(items is not None and len(items) == 9 for items in firsts)
    assert firsts[0].tolist() != firsts[1].tolist(), "weights, alpha and beta do not share negatives"
    plain = TrialContext.open(TrialSettings(data="tiny"), tiny_dataset)
    assert isinstance(plain.training_batches(8), TrainingBatches)
    assert isinstance(plain.architecture_batches(), ArchitectureBatches)


def test_a_run_notes_what_its_loss_depends_on(tiny_dataset: Dataset) -> None:
    def noted(**changes: Any) -> dict[str, Any]:
        request = TrialContext.open(TrialSettings(data="tiny", **changes), tiny_dataset).identity("search")
        return {name: request[name] for name in ("loss", "negatives", "gbce_t") if name in request}

    assert noted(negatives=7, gbce_t=0.1) == {}, "a run by full softmax depends on neither"
    assert noted(loss="sampled_softmax", gbce_t=0.1) == {"loss": "sampled_softmax", "negatives": 256}
    assert noted(loss="gbce", negatives=7) == {"loss": "gbce", "negatives": 7, "gbce_t": 0.75}


def test_only_the_items_in_question_are_looked_up(seven: Any, states: torch.Tensor, targets: torch.Tensor) -> None:
    of_targets, of_negatives, hits = score_sampled(seven, states, targets, torch.tensor([3, 5]))
    assert seven.asked == [[3, 1, 7, 3, 2, 3, 5]]
    scores = states @ seven.table.T
    torch.testing.assert_close(of_targets, scores[range(5), targets])
    torch.testing.assert_close(of_negatives, scores[:, [3, 5]])
    assert hits.tolist() == [[True, False], [False, False], [False, False], [True, False], [False, False]]


def test_a_batch_without_negatives_is_an_error(seven: Any, states: torch.Tensor, targets: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="WithNegatives"):
        score_sampled(seven, states, targets, None)
