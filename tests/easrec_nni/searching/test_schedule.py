"""Learning rate of alpha and beta."""

from __future__ import annotations

import logging

import pytest
import torch

from easrec_nni.searching.schedule import architecture_learning_rate
from easrec_nni.settings.search import SearchSettings


@pytest.mark.parametrize(("epochs", "warmup", "iterations", "every"), [(30, 0, 20, 1), (12, 5, 17, 3), (9, None, 4, 2)])
def test_a_gradient_that_never_turns_moves_a_logit_by_the_whole_movement(
    epochs: int, warmup: int | None, iterations: int, every: int
) -> None:
    settings = SearchSettings(epochs=epochs, warmup_epochs=warmup, arch_every=every, arch_movement=3.0)
    rate = architecture_learning_rate(settings, iterations)
    logit = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([logit], lr=rate)
    for iteration in range((epochs - settings.warmup) * iterations):  # as the strategy counts them
        if iteration % every == 0:
            logit.grad = torch.ones(1)
            optimizer.step()
    assert -logit.item() == pytest.approx(3.0, rel=1e-3)


def test_a_rate_per_step_is_taken_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    assert architecture_learning_rate(SearchSettings(arch_learning_rate=0.001), 10_000_000) == 0.001


@pytest.mark.parametrize(
    ("options", "iterations", "text"),
    [
        ({"epochs": 10, "arch_learning_rate": 0.05}, 350, r"17\.5 nats in one epoch .*arch_learning_rate is 0\.05"),
        ({"epochs": 10, "arch_learning_rate": 0.05, "arch_every": 50}, 350, None),
        ({"epochs": 3, "warmup_epochs": 1}, 350, r"2\.0 nats in one epoch .*arch_movement: 4"),
        ({"epochs": 15}, 350, None),
        ({"epochs": 1, "arch_every": 1000}, 350, r"4\.0 nats"),
    ],
)
def test_a_rate_that_could_decide_in_one_epoch_is_warned_of_with_the_number(
    caplog: pytest.LogCaptureFixture, options: dict[str, float], iterations: int, text: str | None
) -> None:
    with caplog.at_level(logging.WARNING):
        architecture_learning_rate(SearchSettings(**options), iterations)
    assert len(caplog.messages) == (text is not None)
    if text is not None:
        import re

        assert re.search(text, caplog.messages[0])
