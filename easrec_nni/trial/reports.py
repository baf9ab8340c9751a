"""Epoch reports of a trial for NNI's web UI, its assessor and TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.documents import Value
from easrec_nni.evaluation.selection import COMPARED, CROSS_ENTROPY, MONITOR, score_of
from easrec_nni.searching.stage import SearchResult
from easrec_nni.training.context import TrialContext
from easrec_nni.trial.nni_io import report_intermediate, tensorboard_dir
from easrec_nni.trial.objective import Objective
from easrec_nni.trial.tensorboard import TensorBoardLog
from strategies import MULTI_TRIAL_STRATEGIES

__all__ = ["EpochReports"]

SHOWN = (
    *("expected_cost", "argmax_cost", "multiplier", "depth", "temperature"),
    *("entropy_pruning", "entropy_depth", "train_loss", CROSS_ENTROPY),
)
Row = dict[str, float]


class EpochReports:
    """Reports of a trial's epochs.

    NNI's web UI draws the keys of the first report, so all reports have the same keys: figures of the search keep their
    last value during the retraining. ``search`` and ``retrain`` are the two stages' curves of validation NDCG@10 over
    the same users, those that trained no alpha or beta; ``retrain`` is 0 until the retraining starts. Its first value,
    of epoch -1, belongs to the network before the retraining.

    An assessor compares the k-th reports of trials by ``default``. After an early-stopped search, later reports would
    be shifted, and searches compared with retrainings. So :meth:`end_search` pads the search to its largest number of
    epochs: the k-th report is of the same stage and epoch in all trials with equal ``search.epochs``.

    Parameters
    ----------
    board
        Folder of TensorBoard's files, or None for none.
    objective
        Objective for ``default``; the NDCG by default.
    epochs
        Largest number of epochs of the search; None for a multi-trial search, whose number of candidates is unknown.
    select_by
        Metric that selects the epochs; the objective's by default.
    """

    def __init__(
        self,
        board: Path | None,
        objective: Objective | None = None,
        epochs: int | None = None,
        select_by: str | None = None,
    ) -> None:
        self.board = TensorBoardLog(board) if board is not None else None
        self.objective, self.epochs = objective, epochs
        self.figure = objective.figure if objective else MONITOR
        self.select_by = select_by or self.figure
        self._latest: dict[str, Value] = {}  # last value of every key
        self._choices: Mapping[str, float] | None = None
        self._is_drawn = False

    @classmethod
    def of(cls, context: TrialContext, folder: Path) -> EpochReports:
        """Reports of a trial with its files in `folder`."""
        by_trials = context.settings.search.strategy in MULTI_TRIAL_STRATEGIES
        epochs = None if by_trials else context.settings.search.epochs
        return cls(tensorboard_dir(folder), Objective.of(context), epochs, context.settings.select_by)

    def epoch(self, phase: str, row: Row) -> None:
        """Report an epoch of ``search`` or ``retrain``, or a candidate of a multi-trial search."""
        if self.board is not None:
            self.board.epoch(phase, row)
        choices = row if phase == "search" else self._choices
        figure = row.get(f"{COMPARED}{self.figure}", row[self.figure])
        value = self.objective.epoch_value(figure, choices) if self.objective else figure
        shown = {name: number for name, number in row.items() if name in SHOWN or "@" in name}
        shown = {name: number for name, number in shown.items() if math.isfinite(number)}  # JSON has no NaN
        curves = {"search": figure, "retrain": 0.0} if phase == "search" else {"retrain": figure}
        self._send({"default": value, **curves, "phase": phase, "epoch": int(row["epoch"]), **shown})

    def end_search(
        self,
        history: Sequence[Row],
        choices: Mapping[str, float],
        epochs: int | None,
        inherited: float = 0.0,
    ) -> None:
        """Repeat the exported architecture's report for each epoch skipped by early stopping.

        Parameters
        ----------
        history
            Rows of all epochs, including those of earlier processes.
        choices
            ``hidden_pruning``, ``inner_pruning`` and ``depth`` of the exported architecture.
        epochs
            Largest number of epochs; None for a multi-trial search.
        inherited
            Figure of the exported architecture, if the epochs validated only others, as in an elastic search.
        """
        self._choices = choices
        rows = [row for row in history if all(row[name] == value for name, value in choices.items())]
        best = inherited
        if rows:
            best = max(rows, key=lambda row: score_of(self.select_by, row[self.select_by]))[self.figure]
        value = self.objective.epoch_value(best, choices) if self.objective else best
        for epoch in range(len(history), epochs or 0):
            self._send({"default": value, "search": best, "retrain": 0.0, "phase": "search", "epoch": epoch})

    def begin_retraining(self, architecture: Architecture, search: SearchResult | None) -> None:
        """Pad the reports of the search, if any, and draw the architecture for TensorBoard."""
        choices = architecture.choices.model_dump(mode="json")
        if search is None:
            self._choices = choices
        else:
            self.end_search(
                search.history, choices, self.epochs, architecture.metrics.get(f"search_valid_{self.figure}", 0.0)
            )
        self.draw(architecture)

    def draw(self, architecture: Architecture) -> None:
        """Draw the architecture for TensorBoard, once."""
        if self.board is not None and not self._is_drawn:
            self.board.network(architecture)
        self._is_drawn = True

    def close(self) -> None:
        """Close TensorBoard's files."""
        if self.board is not None:
            self.board.close()

    def _send(self, report: dict[str, Value]) -> None:
        self._latest |= report
        report_intermediate(dict(self._latest))
