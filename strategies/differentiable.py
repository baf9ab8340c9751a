"""Base of differentiable strategies: a supernet and two alternating first-order updates."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from nni.nas.evaluator.pytorch import LightningModule
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy, no_default_hook
from torch import Tensor, nn

from strategies.budget import BudgetMultiplier
from strategies.constraint import CostTable, ResourceConstraint
from strategies.paired import PairedBatches
from strategies.processes import SingleProcess
from strategies.selection import Selection, TemperatureSchedule
from strategies.supernet import MixedChoice, MixedDepth, space_choices, wrap

__all__ = ["DifferentiableModule", "DifferentiableStrategy"]

_logger = logging.getLogger(__name__)


@contextmanager
def _frozen_weights(module: nn.Module) -> Iterator[None]:
    """Disable gradients of a network's weights, which steps of alpha and beta do not need.

    They take a third of such a step's arithmetic. (Modules that compute gradients in advance cannot know that they are
    not needed.)
    """
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


class DifferentiableModule(BaseOneShotLightningModule):
    """Search module around the training module of an evaluator.

    In the warm-up only the weights are trained, each step on one uniformly drawn path. Afterwards, every iteration
    trains the weights on a training batch, and every f-th one also alpha and beta on a validation batch. Each update
    draws once. Validation runs the argmax network.
    """

    def __init__(
        self, training_module: LightningModule, strategy: DifferentiableStrategy, selection: Selection
    ) -> None:
        super().__init__(training_module)
        self.selection = selection
        self.constraint = ResourceConstraint(strategy.cost_table, selection, dynamic=strategy.dynamic)
        self.settings = strategy
        self.multiplier = strategy.multiplier
        if self.multiplier is not None:
            selection.restrict(self.constraint.within(self.multiplier.budget))
        self.logits = (
            selection.logits
        )  # registered here, so that checkpoints have them but the network's weights do not
        self.iteration = 0  # since the warm-up
        self._losses: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Run one iteration and return the detached training loss."""
        train_batch, next_validation_batch = batch
        self.selection.temperature = self.settings.temperature(self.iteration)
        with self.settings.processes.same_draws(self.device):
            if self.is_warming_up:
                self.selection.draw_evenly()
            else:
                self.selection.draw(differentiable=False)
        loss = self.training_module.training_step(train_batch, batch_idx)
        self.advance_optimization(loss, batch_idx, self.settings.gradient_clip)
        if self.is_warming_up:
            return loss.detach()
        if self.iteration % self.settings.arch_every == 0:
            validation_batch = self.transfer_batch_to_device(next_validation_batch(), self.device, 0)
            self._architecture_step(validation_batch, batch_idx)
        self.iteration += 1
        return loss.detach()

    @property
    def is_warming_up(self) -> bool:
        """Whether this epoch trains only the weights."""
        return self.current_epoch < self.settings.warmup_epochs

    def _architecture_step(self, batch: Any, batch_idx: int) -> None:
        with self.settings.processes.same_draws(self.device):
            weights = self.selection.draw()
        with _frozen_weights(self.training_module):
            loss = self._architecture_loss(batch, batch_idx)
        resource = self.resource(weights)
        total = loss + self.trade_off() * resource  # Eq. 16
        parameters = list(self.logits.values())
        for parameter, gradient in zip(parameters, torch.autograd.grad(total, parameters), strict=True):
            parameter.grad = gradient
        self.settings.processes.average(parameters)
        self.architecture_optimizers().step()
        if self.multiplier is not None:
            self.multiplier.update(self.expected_cost())
        self._losses.append((loss.detach(), resource.detach()))

    def _architecture_loss(self, batch: Any, batch_idx: int) -> Tensor:
        own = getattr(self.training_module, "architecture_loss", self.training_module.training_step)
        return own(batch, batch_idx)

    def expected_cost(self) -> float:
        """Expected cost under the probabilities, without noise and temperature."""
        return float(self.constraint.expected(self.selection.probabilities()))

    def trade_off(self) -> float:
        """Weight of the constraint in Eq. 16: lambda, or with a budget the multiplier."""
        return self.settings.lambda_ if self.multiplier is None else self.multiplier.weight(self.expected_cost())

    def epoch_losses(self) -> dict[str, float]:
        """Mean loss and mean constraint of Eq. 16 since the last call.

        NaN if alpha and beta took no step, as f can exceed the iterations of an epoch.
        """
        steps, self._losses = self._losses, []
        means = [float(torch.stack(values).mean()) for values in zip(*steps, strict=True)]
        return dict(zip(("architecture_loss", "constraint"), means or (math.nan, math.nan), strict=True))

    def resource(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Constraint term that lambda or the multiplier weighs, a differentiable scalar; here the expected cost."""
        return self.constraint.expected(weights)

    def resource_factor(self) -> float:
        """Factor of the expected cost in :meth:`resource`."""
        return 1.0

    def option_costs(self) -> dict[str, list[float]]:
        """Constraint of Eq. 16 for each option in nats, by label: its weight times the option's expected cost.

        The other choice is at its probabilities, without noise and temperature.
        """
        probabilities = self.selection.probabilities()
        scale = self.trade_off() * self.resource_factor()
        return {
            label: [
                scale * float(self.constraint.expected({**probabilities, label: one_hot}))
                for one_hot in torch.eye(len(p), device=p.device, dtype=p.dtype)
            ]
            for label, p in probabilities.items()
        }

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Adam for alpha and beta."""
        return torch.optim.Adam(self.logits.parameters(), lr=self.settings.arch_learning_rate)

    def export(self) -> dict[str, Any]:
        """Export the argmax architecture as NNI's sample."""
        return dict(self.selection.sample())

    def on_validation_epoch_start(self) -> None:
        """Switch to the argmax network."""
        self.selection.hard = True
        self.training_module.on_validation_epoch_start()

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """Forward validation to the evaluator's module, which NNI does not do."""
        return self.training_module.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Switch back to soft selection."""
        self.training_module.on_validation_epoch_end()
        self.selection.hard = False

    def search_state(self) -> dict[str, Any]:
        """State for resuming besides weights, alpha, beta and optimisers: numbers and text only."""
        multiplier = {} if self.multiplier is None else {"multiplier": self.multiplier.accumulated}
        return {"iteration": self.iteration, **multiplier}

    def load_search_state(self, state: Mapping[str, Any]) -> None:
        """Restore the state from :meth:`search_state`."""
        self.iteration = state["iteration"]
        if self.multiplier is not None:
            self.multiplier.accumulated = state["multiplier"]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the search's state to Lightning's checkpoint."""
        checkpoint["easrec"] = self.search_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the search's state."""
        self.load_search_state(checkpoint["easrec"])


class DifferentiableStrategy(OneShotStrategy):
    """Base of strategies that learn alpha and beta by gradient.

    By default: a softmax without noise at the temperature, and a static expected cost times lambda. Optimiser, batches
    and schedule are common to all strategies, so that they only differ in their method.

    The evaluator's ``val_dataloaders`` may be a dictionary: batches under ``architecture`` train alpha and beta, those
    under ``selection``, of other users, are for validation. Otherwise the same batches serve both. Alpha and beta
    are trained by ``architecture_loss`` of the evaluator's module, if it has one, or else by its ``training_step``.

    Parameters
    ----------
    cost_table
        Normalised cost by candidate and depth; see :class:`~strategies.constraint.ResourceConstraint`.
    lambda_
        Trade-off of Eq. 16.
    multiplier
        Multiplier that takes lambda's place and is adapted to a budget, which the exported architecture meets: its
        argmax is that of the architectures within the budget. None: lambda.
    arch_learning_rate
        Learning rate of Adam for alpha and beta.
    arch_every
        f of Algorithm 1, iterations per step of alpha and beta.
    temperature
        Schedule of tau by iteration.
    warmup_epochs
        Number of first epochs that only train weights, before the temperature schedule and steps of alpha and beta.
    gradient_clip
        Maximum gradient norm of the network's weights; None: no limit.
    processes
        Synchronisation with the other processes of a distributed search; a single process by default.

    Attributes
    ----------
    selection
        Architecture parameters; None before a space is given.
    """

    module_type: type[DifferentiableModule] = DifferentiableModule
    choice_type: type[MixedChoice] = MixedChoice
    depth_type: type[MixedDepth] = MixedDepth
    dynamic = False  # whether the constraint has EASRec's factor L_t / L

    def __init__(
        self,
        cost_table: CostTable,
        *,
        lambda_: float = 0.1,
        multiplier: BudgetMultiplier | None = None,
        arch_learning_rate: float = 1e-3,
        arch_every: int = 1,
        temperature: Callable[[int], float] | None = None,
        warmup_epochs: int = 0,
        gradient_clip: float | None = None,
        processes: SingleProcess | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if arch_every < 1:
            raise ValueError(f"arch_every must be 1 or more, got {arch_every}")
        if not 0 <= lambda_ < float("inf"):
            raise ValueError(f"lambda_ must be 0 or more, got {lambda_}")
        self.cost_table, self.lambda_, self.multiplier = cost_table, lambda_, multiplier
        self.arch_learning_rate, self.arch_every = arch_learning_rate, arch_every
        self.temperature = temperature or TemperatureSchedule()
        if warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must be 0 or more, got {warmup_epochs}")
        self.warmup_epochs, self.gradient_clip = warmup_epochs, gradient_clip
        self.processes = processes or SingleProcess()
        self.selection: Selection | None = None

    def make_selection(self, options: dict[str, list[Any]]) -> Selection:
        """Create the architecture parameters of a space's choices, with the method's draws."""
        return Selection(options, noise=False)

    def mutate_model(self, model: Any) -> Any:
        """Turn the space into a supernet, in place."""
        self.selection = self.make_selection(space_choices(model))
        return super().mutate_model(model)

    def default_mutation_hooks(self) -> list[Any]:
        """Hooks that wrap ``LayerChoice`` and ``Repeat``; NNI's last hook refuses other choices."""
        return [partial(self._hook), no_default_hook]

    def _hook(self, module: nn.Module, name: str, memo: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        assert self.selection is not None
        return wrap(module, memo, self.selection, self.choice_type, self.depth_type)

    def configure_oneshot_module(self, training_module: LightningModule) -> DifferentiableModule:
        """Create the search module around the evaluator's module."""
        assert self.selection is not None
        return self.module_type(training_module, self, self.selection)

    def train_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]) -> Any:
        """Training batches paired with those for alpha and beta."""
        validation = val_dataloader_fn()
        if isinstance(validation, dict):
            validation = validation["architecture"]
        else:
            _logger.warning("alpha and beta are trained on the same batches that the search is validated on")
        return PairedBatches(train_dataloader_fn(), validation)

    def val_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]) -> Any:
        """Batches for selecting the best epoch."""
        validation = val_dataloader_fn()
        return validation["selection"] if isinstance(validation, dict) else validation

    def extra_repr(self) -> str:
        """Parameters for NNI's ``repr`` of a strategy."""
        weight = f"lambda={self.lambda_}" if self.multiplier is None else f"budget={self.multiplier.budget}"
        return f"{weight}, arch_every={self.arch_every}"
