"""Training module of an elastic supernet: one batch trains several of its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses import NetworkOutput, Softmax, in_place_cross_entropy, states_with_targets
from easrec_nni.training.module import SequenceModule

__all__ = ["PathsModule", "rows_of_path"]

Path = Mapping[str, int]
Running = Callable[[Path], AbstractContextManager[None]]


class PathsModule(SequenceModule):
    """Sequence module whose step trains several architectures of a supernet.

    The first one is trained on the whole batch, the others on a share of its sequences, each on other ones as far as
    the share allows. The step's loss is the mean over the architectures.

    Parameters
    ----------
    arguments, options
        Parameters of :class:`~easrec_nni.training.module.SequenceModule`.
    distillation
        Weight of the first network's scores in the targets of the others; softmax over all items only.
    share
        Share of a batch's sequences for each of the others.
    """

    def __init__(self, *arguments: Any, distillation: float = 0.0, share: float = 1.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.distillation, self.share = distillation, share

    def paths_step(self, batch: TrainingBatch, batch_idx: int, paths: Sequence[Path], running: Running) -> Tensor:
        """Loss of a batch over several architectures, computed in micro-batches.

        Parameters
        ----------
        batch
            Training batch.
        batch_idx
            Number of the batch in the epoch, which shifts the sequences that each architecture gets.
        paths
            Architectures, index of the option by label; the first one teaches the others.
        running
            Context in which the network runs an architecture.
        """
        return self.in_micro_batches(lambda part: self._loss_of_paths(part, batch_idx, paths, running), batch)

    def _loss_of_paths(self, part: TrainingBatch, step: int, paths: Sequence[Path], running: Running) -> Tensor:
        if isinstance(self.loss, Softmax | None):
            loss = self._distilled(part, step, paths, running)
        else:
            loss = self._mean_loss(part, step, paths, running)
        return loss if part.weight == 1 else part.weight * loss

    def _distilled(self, part: TrainingBatch, step: int, paths: Sequence[Path], running: Running) -> Tensor:
        networks, numbers = [], _target_numbers(part)
        smoothing: Tensor | float = 0.0
        for place, path in enumerate(paths):
            rows = rows_of_path(len(part.ids), place, len(paths), self.share, step).to(part.ids.device)
            width = self._width(path)
            with running(path):
                states, targets = states_with_targets(self.model, _sequences(part, rows))
                items = self.model.item_vectors()
            if place == 0:
                all_targets = targets - 1
            positions = numbers[rows]
            networks.append(NetworkOutput(states[:, :width], items[:, :width], positions[positions >= 0]))
            if isinstance(self.loss, Softmax):
                of_targets = 1 - self.distillation if place else 1.0
                smoothing += of_targets * self.loss.smoothing(states, items, targets - 1)
        return in_place_cross_entropy(networks, all_targets, self.distillation) + smoothing / len(paths)

    def _mean_loss(self, part: TrainingBatch, step: int, paths: Sequence[Path], running: Running) -> Tensor:
        assert self.loss is not None
        losses = []
        for place, path in enumerate(paths):
            rows = rows_of_path(len(part.ids), place, len(paths), self.share, step).to(part.ids.device)
            with running(path):
                states, targets = states_with_targets(self.model, _sequences(part, rows))
                if len(targets):
                    losses.append(self.loss(self.model, states, targets, part.negatives))
        return torch.stack(losses).mean()

    def _width(self, path: Path) -> int:
        """Width of an architecture's states, which are zero beyond it."""
        config = self.model.config
        if config.item_width is not None:
            return int(config.item_width)
        hidden_pruning, _ = config.candidates[path.get("pruning", 0)]
        return int(config.hidden_width(hidden_pruning))


def rows_of_path(sequences: int, place: int, paths: int, share: float, step: int) -> Tensor:
    """Ascending numbers of the sequences of a batch that a path is trained on.

    The first path gets all. Another gets a share, evenly spaced in the batch, whose sequences are sorted by length;
    the paths' shares are offset against each other and from step to step.

    Parameters
    ----------
    sequences
        Number of sequences.
    place, paths
        Number of the path, from 0, of all paths.
    share
        Share of the sequences, at least one.
    step
        Number of the step.

    Examples
    --------
    >>> rows_of_path(6, 1, 3, 0.5, 0).tolist(), rows_of_path(6, 2, 3, 0.5, 0).tolist()
    ([0, 2, 4], [1, 3, 5])
    """
    everything = torch.arange(sequences)
    count = max(1, round(share * sequences))
    if place == 0 or count == sequences:
        return everything
    others = paths - 1
    offset = (place - 1 + step) % others * sequences / (others * count)
    numbers: Tensor = ((everything[:count] * sequences / count + offset).long() % sequences).sort().values
    return numbers


def _sequences(part: TrainingBatch, rows: Tensor) -> TrainingBatch:
    return part._replace(ids=part.ids[rows], targets=part.targets[rows])


def _target_numbers(part: TrainingBatch) -> Tensor:
    """Number of each position among those with a target, -1 at others: ``[B, T]``, or ``[B, 1]`` for one per row."""
    if part.targets.dim() == 1:
        return torch.arange(len(part.targets), device=part.targets.device)[:, None]
    real = part.targets != 0
    return torch.where(real, real.flatten().cumsum(0).view_as(real) - 1, -1)
