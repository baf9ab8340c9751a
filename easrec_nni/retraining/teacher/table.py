"""Teacher in a table of scores, for a model of which nothing else can be had."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from easrec_nni.architecture.training_settings import TeacherKind
from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.score_table import ScoreTable, read_scores
from easrec_nni.retraining.teacher.source import TeacherSource
from easrec_nni.retraining.teacher.store import ITEMS, PLACES, PROBABILITIES, new_arrays, top_arrays
from easrec_nni.training.context import TrialContext

__all__ = ["TableTeacher"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableTeacher(TeacherSource):
    """Table with the columns ``user_id``, ``item_id`` and ``score``.

    A user's rows are the model's best items after all of the user's training interactions but the newest, which is the
    target there: the distribution is the softmax of their scores, and items without a row have probability 0. All
    other positions, and users without rows, learn from the targets alone.
    """

    kind: ClassVar[TeacherKind] = "table"

    def check(self, dataset: Dataset, served: bool) -> None:
        """See :meth:`.TeacherSource.check`; what the model was trained on is not known."""
        table = read_scores(self.path, dataset)
        rows, newest = _covered(table, dataset)
        users = len(np.unique(table.users[rows]))
        if not users:
            left_out = "".join(f", {count} rows {reason}" for reason, count in table.dropped.items())
            raise UserError(
                f"the teacher {self.path} has no row of a user with a training position{left_out}: give the ids of the "
                f"log that {dataset.name} was prepared from"
            )
        for reason, count in table.dropped.items():
            _logger.warning("the teacher %s: %d rows %s are left out", self.path, count, reason)
        if len(table.users) > int(rows.sum()):
            _logger.warning(
                "the teacher %s: %d rows of users with fewer than two training interactions are left out",
                self.path,
                len(table.users) - int(rows.sum()),
            )
        _logger.info(
            "the teacher %s covers the newest training position of %d of %d users", self.path, users, len(newest)
        )

    def write(self, context: TrialContext, dataset: Dataset, folder: Path, progress: bool) -> None:
        """See :meth:`.TeacherSource.write`; positions are those of the validated training in a refit too."""
        options = context.settings.retrain
        table = read_scores(self.path, context.dataset)
        rows, _ = _covered(table, context.dataset)
        users, items, scores = table.users[rows], table.items[rows], table.scores[rows]
        begins = np.flatnonzero(np.diff(users, prepend=-1))  # [U], the best item of each user
        lengths = np.diff(begins, append=len(users))  # [U]
        row = np.repeat(np.arange(len(begins)), lengths)
        rank = np.arange(len(users)) - begins[row]
        weights = np.exp((scores - scores[begins][row]) / options.temperature)
        probabilities = weights / np.add.reduceat(weights, begins)[row]
        best = min(options.teacher_items, int(lengths.max()))
        kept = rank < best
        with new_arrays(folder, top_arrays(len(begins), best), f"{best} best items") as arrays:
            arrays[PLACES][:] = context.dataset.split.training_end()[users[begins]] - 1
            arrays[ITEMS][:] = (items[begins] - 1)[:, None]  # repeated where a user has fewer
            arrays[ITEMS][row[kept], rank[kept]] = items[kept] - 1
            arrays[PROBABILITIES][row[kept], rank[kept]] = probabilities[kept]


def _covered(table: ScoreTable, dataset: Dataset) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Rows of users with a training position, ``[R]``, and the numbers of all such users."""
    has_position = dataset.split.training_end() - dataset.offsets[:-1] >= 2  # [U]
    return has_position[table.users], np.flatnonzero(has_position)
