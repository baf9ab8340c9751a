"""EASRec's search (Algorithm 1) as an NNI one-shot strategy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from nni.nas.evaluator.pytorch import LightningModule
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy, no_default_hook
from torch import Tensor, nn

from strategies.constraint import CostTable, ResourceConstraint
from strategies.paired import PairedBatches
from strategies.selection import Selection, TemperatureSchedule
from strategies.supernet import choices_of, wrap

__all__ = ["EASRec", "EASRecModule"]

_logger = logging.getLogger(__name__)


class EASRecModule(BaseOneShotLightningModule):
    """Algorithm 1 around the training module of an evaluator.

    Every iteration the network's weights take a step on a training batch; every f-th one, L_t is refreshed and
    alpha and beta take a step on a validation batch. Each update draws once. Validation runs the argmax network.
    """

    def __init__(self, training_module: LightningModule, strategy: EASRec, selection: Selection) -> None:
        super().__init__(training_module)
        self.selection = selection
        self.constraint = ResourceConstraint(strategy.cost_table, selection, dynamic=strategy.dynamic)
        self.settings = strategy
        self.logits = selection.logits  # registered here: saved in checkpoints, and not among the network's weights
        self.iteration = 0
        self.depth_now = self._strongest_depth()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One iteration; returns the detached training loss."""
        train_batch, next_validation_batch = batch
        self.selection.temperature = self.settings.temperature(self.iteration)
        self.selection.draw(differentiable=False)
        loss = self.training_module.training_step(train_batch, batch_idx)
        self.advance_optimization(loss, batch_idx, self.settings.gradient_clip)
        if self.iteration % self.settings.arch_every == 0:
            self.depth_now = self._strongest_depth()
            validation_batch = self.transfer_batch_to_device(next_validation_batch(), self.device, 0)
            self._architecture_step(validation_batch, batch_idx)
        self.iteration += 1
        return loss.detach()

    def _architecture_step(self, batch: Any, batch_idx: int) -> None:
        weights = self.selection.draw()
        loss = self.training_module.training_step(batch, batch_idx)
        resource = self.constraint(weights, self.depth_now)
        total = loss + self.settings.lambda_ * resource  # Eq. 16
        parameters = list(self.logits.values())
        # Gradients of alpha and beta alone: those of the network's weights would be computed and thrown away.
        for parameter, gradient in zip(parameters, torch.autograd.grad(total, parameters), strict=True):
            parameter.grad = gradient
        self.architecture_optimizers().step()
        self.log("search/arch_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=1)
        self.log("search/resource", resource.detach(), on_step=False, on_epoch=True, batch_size=1)

    def _strongest_depth(self) -> int:
        """L_t: the depth that a hard selection would take now."""
        return self.constraint.depths[self.selection.argmax(self.constraint.depth_label)]

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know: the iteration (temperature) and L_t."""
        checkpoint["easrec"] = {"iteration": self.iteration, "depth_now": self.depth_now}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        self.iteration, self.depth_now = checkpoint["easrec"]["iteration"], checkpoint["easrec"]["depth_now"]


class EASRec(OneShotStrategy):
    r"""Elastic architecture search under a dynamic resource constraint, as an NNI one-shot strategy.

    Follows Algorithm 1 of "EASRec: Elastic Architecture Search for Efficient Long-term Sequential Recommender
    Systems". Parameters alpha and beta are unconstrained logits of Gumbel-softmax choices. What was decided where the
    paper is silent or misprinted: noise is :math:`-\log(-\log u)`; one draw per update serves all layers and the
    constraint; costs are normalised and accumulate over the layers, or beta would get no gradient from Eq. 15.

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
    dynamic
        Whether the constraint carries L_t / L.
    noise
        Whether draws carry Gumbel noise.
    gradient_clip
        Largest gradient norm of the network's weights, None for no limit.

    Examples
    --------
    >>> EASRec(cost_table={}, lambda_=0.1)
    EASRec(lambda=0.1, arch_every=1, dynamic=True, noise=True)
    """

    def __init__(
        self,
        cost_table: CostTable,
        *,
        lambda_: float = 0.1,
        arch_learning_rate: float = 1e-3,
        arch_every: int = 1,
        temperature: Callable[[int], float] | None = None,
        dynamic: bool = True,
        noise: bool = True,
        gradient_clip: float | None = None,
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
        self.dynamic, self.noise, self.gradient_clip = dynamic, noise, gradient_clip
        self.selection: Selection | None = None

    def mutate_model(self, model: Any) -> Any:
        """Make the space a supernet, in place."""
        self.selection = Selection(choices_of(model), noise=self.noise)
        return super().mutate_model(model)

    def default_mutation_hooks(self) -> list[Any]:
        """Soft choices for ``LayerChoice`` and ``Repeat``; anything else is refused by NNI's last hook."""
        return [partial(self._hook), no_default_hook]

    def _hook(self, module: nn.Module, name: str, memo: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        assert self.selection is not None
        return wrap(module, memo, self.selection)

    def configure_oneshot_module(self, training_module: LightningModule) -> EASRecModule:
        """The search around the evaluator's module."""
        assert self.selection is not None
        return EASRecModule(training_module, self, self.selection)

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
        return f"lambda={self.lambda_}, arch_every={self.arch_every}, dynamic={self.dynamic}, noise={self.noise}"
