"""What all differentiable strategies have in common: a supernet, and two updates that take turns (first order)."""

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

from strategies.constraint import CostTable, ResourceConstraint
from strategies.paired import PairedBatches
from strategies.processes import Alone
from strategies.selection import Selection, TemperatureSchedule
from strategies.supernet import MixedChoice, MixedDepth, choices_of, wrap

__all__ = ["DifferentiableModule", "DifferentiableStrategy"]

_logger = logging.getLogger(__name__)


@contextmanager
def _without_gradients(module: nn.Module) -> Iterator[None]:
    """A network's weights as constants: a step of alpha and beta would compute their gradients and throw them away.

    A third of its arithmetic is theirs. A module that takes gradients before it returns would not know that nobody
    wants them.
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
    """The search around the training module of an evaluator.

    In the warm-up the weights alone take steps, each on one path that is drawn evenly from the space. After it, every
    iteration the network's weights take a step on a training batch; every f-th one, alpha and beta take a step on a
    validation batch. Each update draws once. Validation runs the argmax network.
    """

    def __init__(
        self, training_module: LightningModule, strategy: DifferentiableStrategy, selection: Selection
    ) -> None:
        super().__init__(training_module)
        self.selection = selection
        self.constraint = ResourceConstraint(strategy.cost_table, selection, dynamic=strategy.dynamic)
        self.settings = strategy
        self.logits = selection.logits  # registered here: saved in checkpoints, and not among the network's weights
        self.iteration = 0  # since the warm-up
        self._losses: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One iteration; returns the detached training loss."""
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
        """Whether this epoch trains the weights alone."""
        return self.current_epoch < self.settings.warmup_epochs

    def _architecture_step(self, batch: Any, batch_idx: int) -> None:
        with self.settings.processes.same_draws(self.device):
            weights = self.selection.draw()
        with _without_gradients(self.training_module):
            loss = self.training_module.training_step(batch, batch_idx)
        resource = self.resource(weights)
        total = loss + self.settings.lambda_ * resource  # Eq. 16
        parameters = list(self.logits.values())
        for parameter, gradient in zip(parameters, torch.autograd.grad(total, parameters), strict=True):
            parameter.grad = gradient
        self.settings.processes.average(parameters)
        self.architecture_optimizers().step()
        self._losses.append((loss.detach(), resource.detach()))

    def epoch_losses(self) -> dict[str, float]:
        """Means of both sides of Eq. 16, the loss and what lambda is multiplied with, since this was asked last.

        Not a number where alpha and beta took no step: f may be larger than an epoch is long.
        """
        steps, self._losses = self._losses, []
        means = [float(torch.stack(each).mean()) for each in zip(*steps, strict=True)]
        return dict(zip(("architecture_loss", "constraint"), means or (math.nan, math.nan), strict=True))

    def resource(self, weights: Mapping[str, Tensor]) -> Tensor:
        """What lambda is multiplied with: here the expected cost under the drawn weights, a scalar with a gradient."""
        return self.constraint.expected(weights)

    def resource_factor(self) -> float:
        """What the expected cost is multiplied with in :meth:`resource`."""
        return 1.0

    def pull(self) -> dict[str, list[float]]:
        """What Eq. 16 charges for each option in nats, by label: lambda times the expected cost at that option.

        The other choice stands at its probabilities, without noise and temperature.
        """
        probabilities = self.selection.probabilities()
        scale = self.settings.lambda_ * self.resource_factor()
        return {
            label: [
                scale * float(self.constraint.expected({**probabilities, label: one}))
                for one in torch.eye(len(p), device=p.device, dtype=p.dtype)
            ]
            for label, p in probabilities.items()
        }

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Adam over alpha and beta."""
        return torch.optim.Adam(self.logits.parameters(), lr=self.settings.arch_learning_rate)

    def export(self) -> dict[str, Any]:
        """The argmax architecture as NNI's sample."""
        return dict(self.selection.sample())

    def on_validation_epoch_start(self) -> None:
        """From here on the argmax network runs alone."""
        self.selection.hard = True
        self.training_module.on_validation_epoch_start()

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """NNI does not pass validation on to the evaluator's module; without it nothing is validated in a search."""
        return self.training_module.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Back to soft selection."""
        self.training_module.on_validation_epoch_end()
        self.selection.hard = False

    def search_state(self) -> dict[str, Any]:
        """What a resumed search must know beside weights, alpha, beta and optimizers; numbers and text only."""
        return {"iteration": self.iteration}

    def load_search_state(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self.iteration = state["iteration"]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know."""
        checkpoint["easrec"] = self.search_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        self.load_search_state(checkpoint["easrec"])


class DifferentiableStrategy(OneShotStrategy):
    """Base of the strategies that learn alpha and beta by gradient; a subclass changes what its method changes.

    As it stands: a softmax without noise at the temperature, and a static expected cost times lambda. Optimiser,
    batches and schedule are the same for all, so that two strategies differ by their method alone.

    The evaluator's ``val_dataloaders`` may be a dictionary: batches under ``architecture`` train alpha and beta, and
    those under ``selection``, of other users, are validated on. Without it the same batches serve both.

    Parameters
    ----------
    cost_table
        Normalised cost by candidate and depth; see :class:`~strategies.constraint.ResourceConstraint`.
    lambda_
        Trade-off of Eq. 16.
    arch_learning_rate
        Adam's step for alpha and beta.
    arch_every
        f of Algorithm 1, iterations between two steps of alpha and beta.
    temperature
        Schedule of tau.
    warmup_epochs
        First epochs, in which the weights train alone; temperature and steps of alpha and beta begin after them.
    gradient_clip
        Largest gradient norm of the network's weights, None for no limit.
    processes
        How the search agrees with those that run it beside this one; by default there are none.

    Attributes
    ----------
    selection
        Architecture parameters, once there is a space.
    """

    module_type: type[DifferentiableModule] = DifferentiableModule
    choice_type: type[MixedChoice] = MixedChoice
    depth_type: type[MixedDepth] = MixedDepth
    dynamic = False  # whether the constraint carries L_t / L, which is EASRec's idea

    def __init__(
        self,
        cost_table: CostTable,
        *,
        lambda_: float = 0.1,
        arch_learning_rate: float = 1e-3,
        arch_every: int = 1,
        temperature: Callable[[int], float] | None = None,
        warmup_epochs: int = 0,
        gradient_clip: float | None = None,
        processes: Alone | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if arch_every < 1:
            raise ValueError(f"arch_every must be 1 or more, got {arch_every}")
        if not 0 <= lambda_ < float("inf"):
            raise ValueError(f"lambda_ must be 0 or more, got {lambda_}")
        self.cost_table, self.lambda_ = cost_table, lambda_
        self.arch_learning_rate, self.arch_every = arch_learning_rate, arch_every
        self.temperature = temperature or TemperatureSchedule()
        if warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must be 0 or more, got {warmup_epochs}")
        self.warmup_epochs, self.gradient_clip = warmup_epochs, gradient_clip
        self.processes = processes or Alone()
        self.selection: Selection | None = None

    def make_selection(self, options: dict[str, list[Any]]) -> Selection:
        """Architecture parameters of a space's choices, and the way weights are drawn from them."""
        return Selection(options, noise=False)

    def mutate_model(self, model: Any) -> Any:
        """Make the space a supernet, in place."""
        self.selection = self.make_selection(choices_of(model))
        return super().mutate_model(model)

    def default_mutation_hooks(self) -> list[Any]:
        """Soft choices for ``LayerChoice`` and ``Repeat``; anything else is refused by NNI's last hook."""
        return [partial(self._hook), no_default_hook]

    def _hook(self, module: nn.Module, name: str, memo: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        assert self.selection is not None
        return wrap(module, memo, self.selection, self.choice_type, self.depth_type)

    def configure_oneshot_module(self, training_module: LightningModule) -> DifferentiableModule:
        """The search around the evaluator's module."""
        assert self.selection is not None
        return self.module_type(training_module, self, self.selection)

    def train_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]) -> Any:
        """Training batches paired with the ones that train alpha and beta."""
        validation = val_dataloader_fn()
        if isinstance(validation, dict):
            validation = validation["architecture"]
        else:
            _logger.warning("alpha and beta are trained on the batches that the search is judged by")
        return PairedBatches(train_dataloader_fn(), validation)

    def val_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]) -> Any:
        """Batches that tell the best epoch."""
        validation = val_dataloader_fn()
        return validation["selection"] if isinstance(validation, dict) else validation

    def extra_repr(self) -> str:
        """One readable line, as NNI's strategies print themselves."""
        return f"lambda={self.lambda_}, arch_every={self.arch_every}"
