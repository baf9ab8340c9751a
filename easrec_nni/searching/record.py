"""What a search keeps of its epochs: the best weights of every architecture that was the strongest one."""

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
    """What a search decided.

    Attributes
    ----------
    choice
        The architecture.
    row
        Row of the epoch, or candidate, whose weights are kept.
    weights
        File with them.
    probabilities
        Alpha and beta at the end, as the softmax of their logits, by label; none after a search by trials.
    """

    choice: Choice
    row: dict[str, float]
    weights: Path
    probabilities: dict[str, list[float]]


class SearchRecord(EpochRecord):
    """Epochs of a search, with the best weights of each architecture that was ever the strongest.

    Epochs of the warm-up are rows of the history and cannot be the best: nothing was chosen in them. Which architecture
    will be exported is known at the end alone, so the weights of each that was met are kept until then.

    Parameters
    ----------
    folder, monitor, patience, weights, extra, on_epoch
        See :class:`~easrec_nni.training.callbacks.EpochRecord`.
    strongest
        Gives the architecture of the largest alpha and beta.
    warmup_epochs
        Epochs at the beginning that do not count.
    is_decided
        Whether alpha and beta are decided: a search stops early only then.
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
        """The name under which Lightning's checkpoint has this state."""
        return EpochRecord.__qualname__

    def weights_file(self, choice: Choice) -> Path:
        """File with the best weights of an architecture."""
        return self.folder / f"best-{choice.label}-depth{choice.depth}.safetensors"

    def keep_best(self, row: dict[str, float]) -> None:
        """Keep weights that are the best of their architecture so far."""
        if row["epoch"] < self.warmup_epochs:
            return
        choice = self.strongest()
        if choice not in self.best or row[self.monitor] > self.row_of(self.best[choice])[self.monitor]:
            self.best[choice] = int(row["epoch"])
            if is_first():
                save_weights(self.weights(), self.weights_file(choice))
        if row[self.monitor] > self.best_score:
            self.best_score, self.best_epoch = row[self.monitor], int(row["epoch"])

    def row_of(self, epoch: int) -> dict[str, float]:
        """History's row of an epoch."""
        return next(row for row in self.history if row["epoch"] == epoch)

    @property
    def out_of_patience(self) -> bool:
        """Whether the search has decided, and the last ``patience`` epochs brought no gain."""
        return self.best_epoch >= 0 and super().out_of_patience and self.is_decided()

    def decision(self, rule: str, probabilities: dict[str, Tensor]) -> Decision:
        """The architecture to export, and where its weights are.

        Parameters
        ----------
        rule
            ``last``: of the last alpha and beta (Eq. 18); ``best_epoch``: of the epoch with the highest figure.
        probabilities
            Alpha and beta at the end, by label.
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
        """What a resumed search must know."""
        best = [{**choice.model_dump(), "epoch": epoch} for choice, epoch in self.best.items()]
        return {**super().state_dict(), "best": best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave.

        Raises
        ------
        UserError
            The checkpoint is of a version whose searches had neither warm-up nor weights by architecture.
        """
        if "best" not in state_dict:
            raise UserError(
                f"{self.folder.parent} holds an unfinished search of an earlier version, without warm-up: "
                "choose another --out, or --restart to search there from the beginning"
            )
        super().load_state_dict(state_dict)
        self.best = {
            Choice(**{name: value for name, value in entry.items() if name != "epoch"}): entry["epoch"]
            for entry in state_dict["best"]
        }
