"""The warm-up: weights alone, paths drawn evenly, alpha, beta and temperature untouched."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from strategies import STRATEGIES, TemperatureSchedule
from strategies.differentiable import DifferentiableModule


@pytest.fixture(params=STRATEGIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_paths_are_drawn_evenly_whatever_alpha_and_beta_are(name: str, cost_table: Any, sums: Any, soften: Any) -> None:
    module = soften(STRATEGIES[name](cost_table), sums())
    with torch.no_grad():
        for logits in module.selection.logits.values():
            logits.copy_(torch.tensor([9.0, 0.0, -9.0]))
    torch.manual_seed(0)
    drawn = Counter()
    for _ in range(1800):
        weights = module.selection.draw_evenly()
        assert all(sorted(w.tolist()) == [0, 0, 1] and not w.requires_grad for w in weights.values())
        drawn[tuple(int(w.argmax()) for w in weights.values())] += 1
    assert len(drawn) == 9
    assert chisquare(list(drawn.values())).pvalue > 0.001


def test_a_path_runs_alone_and_trains_its_weights(name: str, cost_table: Any, sums: Any, soften: Any) -> None:
    numbers = [0.1, 0.5, 1.0]
    space = sums()
    module = soften(STRATEGIES[name](cost_table), space)
    torch.manual_seed(1)
    for _ in range(20):
        weights = module.selection.draw_evenly()
        width, depth = (int(weights[label].argmax()) for label in ("pruning", "depth"))
        space.zero_grad()
        output = space(torch.zeros(1))
        assert output.item() == pytest.approx((depth + 1) * numbers[width])
        output.sum().backward()
        for layer, adds in enumerate(space.adds()):
            for index, add in enumerate(adds.values()):
                gradient = 0.0 if add.number.grad is None else float(add.number.grad)
                assert gradient == (1.0 if layer <= depth and index == width else 0.0)


def test_alpha_beta_and_the_temperature_begin_after_the_warmup(
    name: str, cost_table: Any, search_sums: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bool, float, float]] = []
    original = DifferentiableModule.training_step

    def step(module: DifferentiableModule, batch: Any, batch_idx: int) -> Tensor:
        before = [logits.detach().clone() for logits in module.logits.values()]
        loss = original(module, batch, batch_idx)
        moved = any(not torch.equal(a, b) for a, b in zip(before, module.logits.values(), strict=True))
        one_hot = float(min(weights.detach().max() for weights in module.selection.weights.values()))
        seen.append((module.current_epoch, moved, module.selection.temperature, one_hot))
        return loss

    monkeypatch.setattr(DifferentiableModule, "training_step", step)
    strategy = STRATEGIES[name](
        cost_table, warmup_epochs=2, arch_learning_rate=0.1, temperature=TemperatureSchedule(decay=0.1)
    )
    search_sums(strategy, 12, epochs=4)
    assert [moved for _, moved, _, _ in seen] == [epoch >= 2 for epoch, *_ in seen] and len(seen) == 12
    assert all(one_hot == 1.0 for epoch, _, _, one_hot in seen if epoch < 2)
    falls = name in ("easrec", "gumbeldarts", "recnas")
    expected = [1.0] * 6 + [1 - 0.1 * t if falls else 1.0 for t in range(6)]
    assert [temperature for *_, temperature, _ in seen] == pytest.approx(expected)


def test_the_pull_of_the_constraint_is_lambda_times_the_cost_of_each_option(
    name: str, cost_table: Any, sums: Any, soften: Any
) -> None:
    module = soften(STRATEGIES[name](cost_table, lambda_=0.3), sums())
    with torch.no_grad():
        module.logits["pruning"].copy_(torch.tensor([0.3, -0.8, 0.5]))
        module.logits["depth"].copy_(torch.tensor([0.7, -0.4, 0.2]))
    factor = 1.0
    if name == "easrec":
        module.depth_now, factor = 2, 2 / 3
    p, q = (module.logits[label].softmax(0).tolist() for label in ("pruning", "depth"))
    table = [[cost_table[width][depth] for depth in (1, 2, 3)] for width in ("narrow", "middle", "wide")]
    pull = module.pull()
    for j in range(3):
        expected = 0.3 * factor * sum(p[i] * table[i][j] for i in range(3))
        assert pull["depth"][j] == pytest.approx(expected, rel=1e-5)
        expected = 0.3 * factor * sum(q[k] * table[j][k] for k in range(3))
        assert pull["pruning"][j] == pytest.approx(expected, rel=1e-5)


def test_a_negative_warmup_is_refused(name: str, cost_table: Any) -> None:
    with pytest.raises(ValueError, match="warmup_epochs must be 0 or more, got -1"):
        STRATEGIES[name](cost_table, warmup_epochs=-1)
