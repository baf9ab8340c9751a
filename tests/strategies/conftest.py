"""A space of nothing but NNI's parts, and a problem on it whose best architecture is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from nni.nas.evaluator.pytorch import DataLoader, LightningModule
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from torch import Tensor, nn

from easrec_nni.searching.nni_engine import run_strategy
from easrec_nni.training.trainer import make_trainer
from strategies import DifferentiableStrategy
from strategies.differentiable import DifferentiableModule

NUMBERS = {"narrow": 0.1, "middle": 0.5, "wide": 1.0}


class Add(nn.Module):
    """Adds a number that can be learned, and remembers how often it did, with and without a graph for gradients."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))
        self.calls = [0, 0]  # without, with

    def forward(self, x: Tensor) -> Tensor:
        self.calls[torch.is_grad_enabled()] += 1
        return x + self.number


class Sums(ModelSpace):
    """One to three layers that each add 0.1, 0.5 or 1 to their input."""

    def __init__(self, depth: tuple[int, int] = (1, 3), names: tuple[str, ...] = tuple(NUMBERS)) -> None:
        super().__init__()
        self.layers = Repeat(
            lambda index: LayerChoice({name: Add(NUMBERS[name]) for name in names}, label="pruning"),
            depth,
            label="depth",
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result

    def adds(self) -> list[dict[str, Add]]:
        """Candidates of each layer."""
        layers: Any = getattr(self.layers, "origin", self.layers)
        origins = [getattr(layer, "origin", layer) for layer in layers.blocks]
        return [{name: origin[name] for name in origin.names} for origin in origins]


class ThreeIsBest(LightningModule):
    """Squared distance to 3, what three wide layers make of 0; their numbers hardly learn, alpha and beta have to."""

    def __init__(self, learning_rate: float = 1e-9) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.validated: list[float] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.model(batch) - 3).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.validated.append(self.model(batch).item())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.model.parameters(), lr=self.learning_rate)


@pytest.fixture
def sums() -> type[Sums]:
    return Sums


@pytest.fixture
def cost_table() -> dict[str, dict[int, float]]:
    """Cost of a layer is its number; that of three wide ones is 1."""
    return {name: {depth: depth * number / 3 for depth in (1, 2, 3)} for name, number in NUMBERS.items()}


@pytest.fixture
def soften() -> Callable[[DifferentiableStrategy, ModelSpace], DifferentiableModule]:
    """Makes a space a supernet and returns the search around it, which is not run."""

    def make(strategy: DifferentiableStrategy, space: ModelSpace) -> DifferentiableModule:
        problem = ThreeIsBest()
        problem.set_model(strategy.mutate_model(space))
        return strategy.configure_oneshot_module(problem)

    return make


@pytest.fixture
def search_sums() -> Callable[..., Sums]:
    """Searches the space for a number of iterations, with one batch each; returns it."""

    def run(strategy: DifferentiableStrategy, iterations: int, space: Sums | None = None, epochs: int = 1) -> Sums:
        torch.manual_seed(0)
        space, batch = space or Sums(), torch.zeros(1)
        run_strategy(
            strategy,
            space,
            ThreeIsBest(),
            make_trainer(epochs, [], False),
            train_batches=[batch] * (iterations // epochs),
            validation_batches={"architecture": [batch], "selection": DataLoader([batch], batch_size=None)},
            checkpoint=None,
        )
        return space

    return run
