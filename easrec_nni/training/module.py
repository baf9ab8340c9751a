"""Lightning module for search and retraining, of any soft or frozen network of a space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from nni.nas.evaluator.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.architecture.training_settings import OptimizerSettings
from easrec_nni.data.batches.evaluation import EvaluationBatch
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.cross_entropy import target_cross_entropy
from easrec_nni.evaluation.metrics import mean_by_user
from easrec_nni.evaluation.ranking import metrics_of
from easrec_nni.evaluation.scoring import PROTOCOLS, Ranker
from easrec_nni.evaluation.selection import COMPARED, CROSS_ENTROPY, MONITOR, compared_figure, protocol_of
from easrec_nni.training.losses import Calibrated, ItemLoss, Softmax, next_item_loss
from easrec_nni.training.micro_batch_size import MicroBatchSize
from easrec_nni.training.micro_batches import loss_in_parts, parts_of
from easrec_nni.training.parallel import all_gather, average_gradients

__all__ = ["SequenceModule"]


class SequenceModule(LightningModule):
    """Next-item training and validation of the network set by :meth:`set_model`.

    Parameters
    ----------
    dataset
        Dataset with the validation targets.
    optimizer
        Optimiser of the weights.
    protocols
        Validation protocols, besides that of the selection metric.
    loss
        Training loss; full softmax by default.
    micro_batch
        Micro-batch size; by rule by default.
    compared
        Rows of the validation targets by which trials are compared, if others are validated too; their metric gets its
        own column.
    select_by
        Metric that selects the epoch, from resolved settings.
    calibrates
        Whether architecture parameters are trained by the calibrated loss instead of that of the weights.

    Attributes
    ----------
    metrics
        Metrics of the last validation.
    """

    def __init__(
        self,
        dataset: Dataset,
        optimizer: OptimizerSettings,
        protocols: Sequence[str] = PROTOCOLS,
        loss: ItemLoss | None = None,
        micro_batch: MicroBatchSize | None = None,
        compared: NDArray[np.int64] | None = None,
        select_by: str = MONITOR,
        calibrates: bool = False,
    ) -> None:
        super().__init__()
        self.compared, self.select_by = compared, select_by
        self.figure = compared_figure(select_by, dataset)
        self.loss, self.micro_batch, self.calibrates = loss, micro_batch or MicroBatchSize(), calibrates
        self.dataset, self.optimizer_settings = dataset, optimizer
        self.protocols = tuple(dict.fromkeys([*protocols, protocol_of(self.figure)]))
        self.metrics: dict[str, float] = {}
        self._ranker: Ranker | None = None
        self._rows: list[Tensor] = []
        self._cross_entropies: list[Tensor] = []

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Loss of a batch, computed in micro-batches."""
        return self.in_micro_batches(self._loss_of, batch)

    def architecture_loss(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Loss of a batch that trains architecture parameters; calibrated, it is without dropout."""
        if not self.calibrates:
            return self.training_step(batch, batch_idx)
        loss = Calibrated(self.loss or Softmax(self.model.config.n_items))
        was_training = self.model.training
        self.model.eval()
        try:
            return self.in_micro_batches(lambda part: next_item_loss(self.model, part, loss), batch)
        finally:
            self.model.train(was_training)

    def in_micro_batches(self, loss_of: Callable[[TrainingBatch], Tensor], batch: TrainingBatch) -> Tensor:
        """Loss of a batch from a function that returns the mean loss of a part over its targets."""
        width = max(self.model.config.hidden, self.model.config.inner)
        positions = self.micro_batch.positions(loss_of, batch, width)
        return loss_in_parts(loss_of, parts_of(batch, width, positions))

    def _loss_of(self, part: TrainingBatch) -> Tensor:
        return next_item_loss(self.model, part, self.loss)

    def on_after_backward(self) -> None:
        """Average the gradients over all processes; NNI's search calls this too."""
        average_gradients(self.model.parameters())

    def on_validation_epoch_start(self) -> None:
        """Reset the collected ranks."""
        self._ranker, self._rows, self._cross_entropies = Ranker(self.dataset, "valid", self.protocols), [], []

    def validation_step(self, batch: EvaluationBatch, batch_idx: int) -> None:
        """Collect the ranks of a batch."""
        assert self._ranker is not None
        with torch.autocast(self.device.type, enabled=False):  # in bfloat16 many scores would tie
            scores = self.model(batch.ids)
            self._ranker.add(scores, batch)
            if self.select_by == CROSS_ENTROPY:
                unknown = None if self._ranker.unknown is None else self._ranker.unknown.to(scores.device)
                self._cross_entropies.append(target_cross_entropy(scores, batch.targets, unknown).cpu())
        self._rows.append(batch.rows)

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics from the ranks of all processes."""
        assert self._ranker is not None
        parts = all_gather((self._ranker.ranks(), torch.cat(self._rows).cpu().numpy()))
        ranks = {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]}
        rows = np.concatenate([rows for _, rows in parts])
        self.metrics = metrics_of(ranks, users=self._users_of(rows))
        if self.select_by == CROSS_ENTROPY:
            values = np.concatenate(all_gather(torch.cat(self._cross_entropies).double().numpy()))  # [rows]
            self.metrics[CROSS_ENTROPY] = float(mean_by_user(values, self._users_of(rows)).mean())
        if self.compared is not None:
            mask = np.isin(rows, self.compared)  # [rows]
            compared_ranks = {name: values[mask] for name, values in ranks.items()}
            figures = metrics_of(compared_ranks, users=self._users_of(rows[mask]))
            self.metrics[f"{COMPARED}{self.figure}"] = figures[self.figure]

    def _users_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Users of validation rows; None where every user has a single target."""
        users = self.dataset.split.valid.row_users
        return None if users is None else users[rows]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the network's weights; architecture parameters belong to the strategy."""
        options = self.optimizer_settings
        rate, betas, decay = options.learning_rate, (0.9, options.beta2), options.weight_decay
        weights = list(self.model.parameters())
        if decay == 0:
            return torch.optim.Adam(weights, lr=rate, betas=betas, fused=True)
        # Biases and norms are not decayed.
        groups = [
            {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": decay},
            {"params": [weight for weight in weights if weight.dim() < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True)
