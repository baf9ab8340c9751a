"""NNI's multi-trial strategies as we set them up, on rewards that need no training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from nni.nas.strategy import Random
from torch import nn

from easrec_nni.searching.nni_engine import BudgetSpent, run_multi_trial
from strategies.multi_trial import FIRST_RANDOM, MULTI_TRIAL_STRATEGIES, TPE, evolution

WIDTHS, DEPTHS = 9, 4

Drawn = list[tuple[str, int]]


class Space(ModelSpace):
    """As many architectures as the paper's space, 36, without its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.width = LayerChoice({f"w{i}": nn.Identity() for i in range(WIDTHS)}, label="pruning")
        self.depth = Repeat(lambda index: nn.Identity(), (1, DEPTHS), label="depth")


def draw(strategy: Any, reward: Callable[[str, int], float], most: int = 1000) -> Drawn:
    """Architectures in the order in which a strategy draws them."""
    drawn: Drawn = []

    def judge(sample: dict[str, Any]) -> float:
        if len(drawn) == most:
            raise BudgetSpent
        drawn.append((sample["pruning"], sample["depth"]))
        return reward(*drawn[-1])

    run_multi_trial(strategy, Space(), judge)
    return drawn


def additive(seed: int) -> Callable[[str, int], float]:
    """A reward to which width and depth contribute independently."""
    random = np.random.default_rng(seed)
    widths, depths = random.normal(size=WIDTHS), random.normal(size=DEPTHS)
    return lambda width, depth: float(widths[int(width[1:])] + depths[depth - 1])


def best_of(reward: Callable[[str, int], float]) -> tuple[str, int]:
    return max(((f"w{i}", depth) for i in range(WIDTHS) for depth in range(1, DEPTHS + 1)), key=lambda a: reward(*a))


@pytest.mark.parametrize("name", MULTI_TRIAL_STRATEGIES)
def test_the_seed_determines_the_sequence(name: str) -> None:
    first, again, other = (draw(MULTI_TRIAL_STRATEGIES[name](seed), additive(0), 15) for seed in (3, 3, 4))
    assert first == again
    assert len(first) == 15 and first != other


@pytest.mark.parametrize("name", MULTI_TRIAL_STRATEGIES)
def test_every_architecture_comes_once(name: str) -> None:
    drawn = draw(MULTI_TRIAL_STRATEGIES[name](0), additive(0))
    assert len(set(drawn)) == len(drawn)
    # Evolution looks for what is new by mutation and may miss the last few.
    assert len(drawn) >= WIDTHS * DEPTHS - (3 if name == "evolution" else 0)


@pytest.mark.parametrize(("name", "seeds", "least"), [("evolution", 60, 36), ("tpe", 24, 19)])
def test_what_is_learnt_finds_the_best_sooner_than_chance_does(name: str, seeds: int, least: int) -> None:
    """A uniform order has the best among its first 16 for 16 of 36 rewards on average; TPE with NNI's grid for 22."""
    found = 0
    for seed in range(seeds):
        reward = additive(seed)
        found += best_of(reward) in draw(MULTI_TRIAL_STRATEGIES[name](seed), reward, 16)
    assert found >= least


def test_evolution_finds_the_best_architecture_of_a_space() -> None:
    """A hill: each step towards the top is rewarded."""
    drawn = draw(evolution(1), lambda width, depth: int(width[1:]) + 3.0 * depth, 24)
    assert ("w8", 4) in drawn
    assert drawn.index(("w8", 4)) >= FIRST_RANDOM  # found, not drawn by chance at the beginning


def test_rewards_change_what_comes_after_the_random_beginning() -> None:
    for name in ("evolution", "tpe"):
        up = draw(MULTI_TRIAL_STRATEGIES[name](0), additive(0), 16)
        down = draw(MULTI_TRIAL_STRATEGIES[name](0), lambda width, depth: -additive(0)(width, depth), 16)
        assert up[:FIRST_RANDOM] == down[:FIRST_RANDOM]
        assert up != down
    blind = [draw(MULTI_TRIAL_STRATEGIES["random"](0), reward, 16) for reward in (additive(0), additive(1))]
    assert blind[0] == blind[1]


def test_tpe_does_not_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(seconds: float) -> None:
        raise AssertionError("a pause of NNI's")

    monkeypatch.setattr(time, "sleep", forbidden)
    assert len(draw(TPE(0), additive(0), 10)) == 10


def test_a_strategy_of_nni_itself_runs_on_the_engine() -> None:
    assert len(draw(Random(seed=0, dedup=False), additive(0), 50)) == 50
