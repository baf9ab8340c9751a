"""Epoch record of a one-shot search: best weights of every architecture that was the argmax."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from easrec_nni.architecture.weights import save_weights
from easrec_nni.common.errors import UserError
from easrec_nni.training.callbacks import EpochRecord
from easrec_nni.training.parallel import is_first
from search_spaces import Choice

__all__ = ["Decision", "SearchRecord"]


@dataclass(frozen=True)
class Decision:
    """Outcome of a search.

    Attributes
    ----------
    choice
        The architecture.
    row
        Row of the epoch or candidate with the best weights.
    weights
        File with these weights.
    probabilities
        Final alpha and beta (softmax of their logits) by label; empty after a multi-trial search.
    """

    choice: Choice
    row: dict[str, float]
    weights: Path
    probabilities: dict[str, list[float]]


class SearchRecord(EpochRecord):
    """Epochs of a search, with the best weights of each architecture that was ever the argmax.

    Warm-up epochs are rows of the history but never the best: alpha and beta do not move in them. The architecture to
    export is known only at the end, so the weights of every candidate for it are kept until then.

    Parameters
    ----------
    folder, monitor, patience, weights, extra, on_epoch
        See :class:`~easrec_nni.training.callbacks.EpochRecord`.
    strongest
        Function that returns the architecture of the largest alpha and beta.
    warmup_epochs
        Number of warm-up epochs, which cannot be the best.
    is_decided
        Function that returns whether alpha and beta are decided; the search stops early only then.
    """

    def __init__(
        self,
        folder: Path,
        monitor: str,
        patience: int,
        weights: Callable[[], dict[str, Tensor]],
        extra: Callable[[], dict[str, float]],
        on_epoch: Callable[[dict[str, float]], None] | None,
        *,
        strongest: Callable[[], Choice],
        warmup_epochs: int,
        is_decided: Callable[[], bool],
    ) -> None:
        super().__init__(folder, monitor, patience, weights, extra, on_epoch)
        self.strongest, self.warmup_epochs, self.is_decided = strongest, warmup_epochs, is_decided
        self.best: dict[Choice, int] = {}  # epoch of the best weights of each architecture

    @property
    def state_key(self) -> str:
        """Key of this callback's state in Lightning's checkpoint."""
        return EpochRecord.__qualname__

    def weights_file(self, choice: Choice) -> Path:
        """File with the best weights of an architecture."""
        return self.folder / f"best-{choice.label}-depth{choice.depth}.safetensors"

    def keep_best(self, row: dict[str, float]) -> None:
        """Save the weights if they are the best of their architecture so far."""
        if row["epoch"] < self.warmup_epochs:
            return
        choice = self.strongest()
        if choice not in self.best or self.score(row) > self.score(self.row_of(self.best[choice])):
            self.best[choice] = int(row["epoch"])
            if is_first():
                save_weights(self.weights(), self.weights_file(choice))
        if self.score(row) > self.best_score:
            self.best_score, self.best_epoch = self.score(row), int(row["epoch"])

    def row_of(self, epoch: int) -> dict[str, float]:
        """Row of an epoch."""
        return next(row for row in self.history if row["epoch"] == epoch)

    @property
    def out_of_patience(self) -> bool:
        """Whether alpha and beta are decided and ``patience`` epochs brought no improvement."""
        if self.best_epoch < 0 or not self.is_decided():
            return False
        return bool(self.history[-1]["epoch"] - self.best_epoch >= self.patience)

    def decision(self, rule: str, probabilities: dict[str, Tensor]) -> Decision:
        """Architecture to export, with the file of its weights.

        Parameters
        ----------
        rule
            Rule of export: ``last`` takes the final alpha and beta (Eq. 18), ``best_epoch`` those of the epoch with the
            best monitored figure.
        probabilities
            Final alpha and beta by label.
        """
        choice = self.strongest()
        if rule == "best_epoch":
            choice = next(choice for choice, epoch in self.best.items() if epoch == self.best_epoch)
        return Decision(
            choice,
            self.row_of(self.best[choice]),
            self.weights_file(choice),
            {label: values.double().tolist() for label, values in probabilities.items()},
        )

    def state_dict(self) -> dict[str, Any]:
        """State for resuming the search."""
        best = [{**choice.model_dump(), "epoch": epoch} for choice, epoch in self.best.items()]
        return {**super().state_dict(), "best": best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of :meth:`state_dict`.

        Raises
        ------
        UserError
            The checkpoint is of a version whose searches had neither warm-up nor weights by architecture.
        """
        if "best" not in state_dict:
            raise UserError(
                f"{self.folder.parent} holds an unfinished search of an earlier version, without warm-up: "
                "choose another --out, or pass --restart to start over"
            )
        super().load_state_dict(state_dict)
        self.best = {
            Choice(**{name: value for name, value in entry.items() if name != "epoch"}): entry["epoch"]
            for entry in state_dict["best"]
        }
