"""Elastic supernet: which paths a step trains, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from nni.nas.evaluator.pytorch import DataLoader
from scipy.stats import chisquare
from torch import Tensor

from easrec_nni.searching.nni_engine import run_strategy
from easrec_nni.training.trainer import make_trainer
from strategies import Elastic
from strategies.elastic import ElasticModule, PathSampler
from tests.strategies.conftest import Sums, ThreeIsBest

LARGEST, SMALLEST = {"pruning": "wide", "depth": 3}, {"pruning": "narrow", "depth": 1}


def search(strategy: Elastic, iterations: int = 6, epochs: int = 1, space: Sums | None = None) -> Sums:
    torch.manual_seed(0)
    space, batch = space or Sums(), torch.zeros(1)
    run_strategy(
        strategy,
        space,
        ThreeIsBest(learning_rate=1e-3),
        make_trainer(epochs, [], False),
        train_batches=DataLoader([batch] * (iterations // epochs), batch_size=None),
        validation_batches=DataLoader([batch], batch_size=None),
        checkpoint=None,
    )
    return space


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, int]]]:
    """Width and depth of the paths of each step, filled while a search runs."""
    seen: list[list[tuple[int, int]]] = []
    original = ElasticModule.paths

    def paths(module: ElasticModule) -> Any:
        drawn = original(module)
        seen.append([(path["pruning"], path["depth"]) for path in drawn])
        return drawn

    monkeypatch.setattr(ElasticModule, "paths", paths)
    return seen


def test_each_step_trains_the_largest_the_smallest_and_random_paths(steps: list[list[tuple[int, int]]]) -> None:
    search(Elastic(LARGEST, SMALLEST, random_paths=2), 9)
    assert len(steps) == 9
    assert all(step[:2] == [(2, 2), (0, 0)] and len(step) == 4 for step in steps)
    drawn = [path for step in steps for path in step[2:]]
    for choice in (0, 1):
        assert Counter(path[choice] for path in drawn) == {0: 6, 1: 6, 2: 6}


def test_the_warm_up_trains_the_largest_alone(steps: list[list[tuple[int, int]]]) -> None:
    search(Elastic(LARGEST, SMALLEST, warmup_epochs=2), 9, epochs=3)
    assert [len(step) for step in steps] == [1] * 6 + [3] * 3
    assert all(step[0] == (2, 2) for step in steps)


def test_without_the_sandwich_rule_paths_are_random(steps: list[list[tuple[int, int]]]) -> None:
    search(Elastic(LARGEST, SMALLEST, sandwich=False, random_paths=1), 9)
    assert all(len(step) == 1 for step in steps) and len({step[0] for step in steps}) > 2


def test_a_fair_sampler_deals_every_option_once_in_each_round_and_in_random_order() -> None:
    torch.manual_seed(0)
    sampler = PathSampler({"pruning": 4, "depth": 3})
    drawn = [sampler.draw() for _ in range(240)]
    for label, size in (("pruning", 4), ("depth", 3)):
        rounds = [[path[label] for path in drawn[begin : begin + size]] for begin in range(0, 240, size)]
        assert all(sorted(deal) == list(range(size)) for deal in rounds)
        assert len({tuple(deal) for deal in rounds}) > size
    pairs = Counter((path["pruning"], path["depth"]) for path in drawn)
    assert len(pairs) == 12 and chisquare(list(pairs.values())).pvalue > 0.001


def test_an_unfair_sampler_draws_independently() -> None:
    torch.manual_seed(0)
    sampler = PathSampler({"depth": 3}, fair=False)
    drawn = [sampler.draw()["depth"] for _ in range(600)]
    assert chisquare(list(Counter(drawn).values())).pvalue > 0.001
    assert any(len(set(drawn[begin : begin + 3])) < 3 for begin in range(0, 600, 3))


def test_a_step_is_the_mean_loss_over_its_paths(steps: list[list[tuple[int, int]]]) -> None:
    """Against the closed form: path (width w, depth k) outputs the sum of its layers' numbers."""
    space = Sums()
    search(Elastic(LARGEST, SMALLEST, random_paths=1), 1, space=space)
    numbers = torch.tensor([[0.1, 0.5, 1.0]] * 3, requires_grad=True)  # [layers, widths]
    losses = [(numbers[: depth + 1, width].sum() - 3).square() for width, depth in steps[0]]
    (gradient,) = torch.autograd.grad(torch.stack(losses).mean(), numbers)
    expected = numbers.detach() - 1e-3 * gradient
    actual = torch.tensor([[add.number.item() for add in layer.values()] for layer in space.adds()])
    torch.testing.assert_close(actual, expected)


def test_validation_runs_the_largest_network() -> None:
    strategy = Elastic(LARGEST, SMALLEST)
    space = search(strategy, 3)
    numbers = [layer["wide"].number.item() for layer in space.adds()]
    assert strategy.oneshot_module.training_module.validated == pytest.approx([sum(numbers)])
    assert strategy.oneshot_module.export() == LARGEST


def test_a_module_with_a_step_of_its_own_gets_the_paths_and_a_way_to_run_them(sums: Callable[..., Sums]) -> None:
    class Own(ThreeIsBest):
        def paths_step(self, batch: Tensor, batch_idx: int, paths: Any, running: Any) -> Tensor:
            self.outputs = []
            for path in paths:
                with running(path):
                    self.outputs.append(self.model(batch))
            return torch.stack(self.outputs).sum()

    module, strategy = Own(), Elastic(LARGEST, SMALLEST, random_paths=0)
    batches = DataLoader([torch.zeros(1)], batch_size=None)
    run_strategy(
        strategy,
        sums(),
        module,
        make_trainer(1, [], False),
        train_batches=batches,
        validation_batches={"selection": batches},
        checkpoint=None,
    )
    assert [output.item() for output in module.outputs] == pytest.approx([3.0, 0.1])


@pytest.mark.parametrize("options", [{"depth": (2, 2)}, {"names": ("wide",)}], ids=str)
def test_a_choice_may_have_one_option(options: dict[str, Any], sums: Callable[..., Sums]) -> None:
    names = options.get("names", ("narrow", "wide"))
    low, high = options.get("depth", (1, 3))
    strategy = Elastic({"pruning": "wide", "depth": high}, {"pruning": names[0], "depth": low})
    search(strategy, 3, space=sums(**{"names": names, **options}))
    assert strategy.oneshot_module.training_module.validated[0] > 0.9 * high


def test_strategy_prints_itself_readably() -> None:
    text = "Elastic(sandwich=False, random_paths=3, fair=False, warmup_epochs=1)"
    strategy = Elastic({}, {}, sandwich=False, random_paths=3, fair=False, warmup_epochs=1)
    assert repr(strategy) == text


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 0 or more, got -1, 0"):
        Elastic({}, {}, random_paths=-1)
    with pytest.raises(ValueError, match="a step trains nothing"):
        Elastic({}, {}, sandwich=False, random_paths=0)
