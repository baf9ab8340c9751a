"""Space of plain NNI modules, and a problem on it with a known best architecture."""

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
    """Module that adds a learnable number and counts its calls with and without gradients."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))
        self.calls = [0, 0]  # without, with

    def forward(self, x: Tensor) -> Tensor:
        self.calls[torch.is_grad_enabled()] += 1
        return x + self.number


class Sums(ModelSpace):
    """Space of one to three layers that each add 0.1, 0.5 or 1 to their input."""

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
    """Squared distance to 3, the output of three wide layers; only alpha and beta learn."""

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
    """Costs proportional to a layer's number; three wide layers cost 1."""
    return {name: {depth: depth * number / 3 for depth in (1, 2, 3)} for name, number in NUMBERS.items()}


@pytest.fixture
def soften() -> Callable[[DifferentiableStrategy, ModelSpace], DifferentiableModule]:
    """Function that turns a space into a supernet and returns its search module."""

    def make(strategy: DifferentiableStrategy, space: ModelSpace) -> DifferentiableModule:
        problem = ThreeIsBest()
        problem.set_model(strategy.mutate_model(space))
        return strategy.configure_oneshot_module(problem)

    return make


@pytest.fixture
def search_sums() -> Callable[..., Sums]:
    """Function that searches the space for some iterations of one batch and returns it."""

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
