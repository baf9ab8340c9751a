"""Elastic supernet: one training after which every slice of the largest network is a network by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from nni.nas.evaluator.pytorch import LightningModule
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy, no_default_hook
from torch import Tensor, nn

from strategies.processes import SingleProcess
from strategies.selection import Selection
from strategies.supernet import space_choices, wrap

__all__ = ["Elastic", "ElasticModule", "Path", "PathSampler"]

Path = dict[str, int]
"""Index of the option of each choice, by label: one architecture."""


class PathSampler:
    """Random architectures, in which every option of a choice comes up equally often (FairNAS's strict fairness).

    Each choice deals its options like a deck of cards: in random order, all of them before the first one returns.

    Parameters
    ----------
    sizes
        Number of options of each choice, by label.
    fair
        Whether to deal decks; otherwise options are drawn independently and uniformly.

    Examples
    --------
    >>> sampler = PathSampler({"depth": 3})
    >>> sorted(sampler.draw()["depth"] for _ in range(3))
    [0, 1, 2]
    """

    def __init__(self, sizes: Mapping[str, int], fair: bool = True) -> None:
        self.sizes, self.fair = dict(sizes), fair
        self.decks: dict[str, list[int]] = {label: [] for label in sizes}

    def draw(self, device: torch.device | None = None) -> Path:
        """Draw an architecture with the random number generator of a device, by default the CPU's."""
        return {label: self._option(label, device) for label in self.sizes}

    def _option(self, label: str, device: torch.device | None) -> int:
        size, deck = self.sizes[label], self.decks[label]
        if not self.fair:
            return int(torch.randint(size, (1,), device=device))
        if not deck:
            deck.extend(torch.randperm(size, device=device).tolist())
        return deck.pop()


class ElasticModule(BaseOneShotLightningModule):
    """Search module that trains several architectures of a supernet in each step.

    The evaluator's module computes the loss: ``paths_step(batch, batch_idx, paths, running)`` if it has such a method,
    where ``running(path)`` is a context in which its network runs one architecture and ``paths[0]`` is the largest one;
    otherwise the mean of its ``training_step`` over the paths. Validation runs the largest network.
    """

    def __init__(self, training_module: LightningModule, strategy: Elastic, selection: Selection) -> None:
        super().__init__(training_module)
        self.settings, self.selection = strategy, selection
        self.sampler = PathSampler({label: len(names) for label, names in selection.options.items()}, strategy.fair)

    def paths(self) -> list[Path]:
        """Architectures of the next step: the largest, the smallest, and random ones; in the warm-up the largest."""
        settings = self.settings
        ends = [self.path_of(settings.largest), self.path_of(settings.smallest)]
        if self.current_epoch < settings.warmup_epochs:
            return ends[:1]
        with settings.processes.same_draws(self.device):
            drawn = [self.sampler.draw(self.device) for _ in range(settings.random_paths)]
        return [*ends, *drawn] if settings.sandwich else drawn

    def path_of(self, sample: Mapping[str, Any]) -> Path:
        """Path of an architecture in NNI's sample format."""
        return {label: names.index(sample[label]) for label, names in self.selection.options.items()}

    @contextmanager
    def running(self, path: Path) -> Iterator[None]:
        """Context in which the supernet runs one architecture."""
        with self.selection.only(path):
            yield

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Run one iteration and return the detached loss."""
        paths = self.paths()
        module: Any = self.training_module
        if hasattr(module, "paths_step"):
            loss = module.paths_step(batch, batch_idx, paths, self.running)
        else:
            loss = self._mean_loss(batch, batch_idx, paths)
        self.advance_optimization(loss, batch_idx, self.settings.gradient_clip)
        return loss.detach()

    def _mean_loss(self, batch: Any, batch_idx: int, paths: Sequence[Path]) -> Tensor:
        losses = []
        for path in paths:
            with self.running(path):
                losses.append(self.training_module.training_step(batch, batch_idx))
        return torch.stack(losses).mean()

    def on_validation_epoch_start(self) -> None:
        """Forward to the evaluator's module, which NNI does not do."""
        self.training_module.on_validation_epoch_start()

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """Validate the largest network."""
        with self.running(self.path_of(self.settings.largest)):
            return self.training_module.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Forward to the evaluator's module."""
        self.training_module.on_validation_epoch_end()

    def export(self) -> dict[str, Any]:
        """Export the largest architecture as NNI's sample; the choice among all is made after the training."""
        return dict(self.settings.largest)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the sampler's decks to Lightning's checkpoint."""
        # Plain text: NNI's labels are of a class that a checkpoint read with weights_only may not hold.
        checkpoint["elastic"] = {str(label): deck for label, deck in self.sampler.decks.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the sampler's decks."""
        self.sampler.decks = {label: list(deck) for label, deck in checkpoint["elastic"].items()}


class Elastic(OneShotStrategy):
    """Training of a supernet whose architectures work without retraining.

    Every step trains the largest and the smallest network and random ones in between (the sandwich rule of Yu and
    Huang, "Universally Slimmable Networks and Improved Training Techniques", ICCV 2019). Random networks are drawn
    fairly (Chu, Zhang and Xu, "FairNAS", ICCV 2021), choice by choice. In-place distillation, in which the largest
    network's scores teach the others, is up to the evaluator's module; see :class:`ElasticModule`.

    There are no architecture parameters: after the training, all architectures are evaluated with inherited weights.

    Parameters
    ----------
    largest, smallest
        The largest and the smallest architecture as NNI's samples; they may have labels that the space lacks.
    sandwich
        Whether each step trains these two.
    random_paths
        Number of random architectures in each step.
    fair
        Whether random architectures take every option of a choice equally often.
    warmup_epochs
        Number of first epochs that only train the largest network.
    gradient_clip
        Maximum gradient norm of the network's weights; None: no limit.
    processes
        Synchronisation with the other processes of a distributed search; a single process by default.

    Attributes
    ----------
    selection
        Choices of the supernet; None before a space is given.

    Examples
    --------
    >>> Elastic({"depth": 2}, {"depth": 1}, random_paths=2)
    Elastic(sandwich=True, random_paths=2, fair=True, warmup_epochs=0)
    """

    def __init__(
        self,
        largest: Mapping[str, Any],
        smallest: Mapping[str, Any],
        *,
        sandwich: bool = True,
        random_paths: int = 1,
        fair: bool = True,
        warmup_epochs: int = 0,
        gradient_clip: float | None = None,
        processes: SingleProcess | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if random_paths < 0 or warmup_epochs < 0:
            raise ValueError(f"random_paths and warmup_epochs must be 0 or more, got {random_paths}, {warmup_epochs}")
        if not sandwich and random_paths == 0:
            raise ValueError("without the sandwich rule and without random paths, a step trains nothing")
        self.largest, self.smallest = dict(largest), dict(smallest)
        self.sandwich, self.random_paths, self.fair = sandwich, random_paths, fair
        self.warmup_epochs, self.gradient_clip = warmup_epochs, gradient_clip
        self.processes = processes or SingleProcess()
        self.selection: Selection | None = None

    def mutate_model(self, model: Any) -> Any:
        """Turn the space into a supernet, in place."""
        self.selection = Selection(space_choices(model), noise=False)
        return super().mutate_model(model)

    def default_mutation_hooks(self) -> list[Any]:
        """Hooks that wrap ``LayerChoice`` and ``Repeat``; NNI's last hook refuses other choices."""
        return [partial(self._hook), no_default_hook]

    def _hook(self, module: nn.Module, name: str, memo: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        assert self.selection is not None
        return wrap(module, memo, self.selection)

    def configure_oneshot_module(self, training_module: LightningModule) -> ElasticModule:
        """Create the search module around the evaluator's module."""
        assert self.selection is not None
        return ElasticModule(training_module, self, self.selection)

    def val_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]) -> Any:
        """Batches for selecting the best epoch."""
        validation = val_dataloader_fn()
        return validation["selection"] if isinstance(validation, dict) else validation

    def extra_repr(self) -> str:
        """Parameters for NNI's ``repr`` of a strategy."""
        return (
            f"sandwich={self.sandwich}, random_paths={self.random_paths}, fair={self.fair}, "
            f"warmup_epochs={self.warmup_epochs}"
        )
