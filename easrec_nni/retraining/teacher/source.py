"""Interface of a teacher that a run distils from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from easrec_nni.architecture.training_settings import TeacherKind, TeacherRecord
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.download import file_digest
from easrec_nni.training.context import TrialContext

__all__ = ["TeacherSource"]


@dataclass(frozen=True)
class TeacherSource(ABC):
    """Teacher of a distillation.

    Attributes
    ----------
    path
        Folder or file that the user named.
    """

    path: Path
    kind: ClassVar[TeacherKind]

    @property
    def weights(self) -> Path:
        """File that determines what the teacher says."""
        return self.path

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of :attr:`weights`."""
        return file_digest(self.weights)

    def record(self, context: TrialContext) -> TeacherRecord:
        """Entry of ``architecture.json``."""
        options = context.settings.retrain
        return TeacherRecord(
            kind=self.kind,
            sha256=self.sha256,
            weight=options.distillation,
            temperature=options.temperature,
            items=None if self.kind == "run" else options.teacher_items,
        )

    def identity(self, context: TrialContext) -> dict[str, Any]:
        """What identifies the teacher in a run's identity; its path does not."""
        return {"teacher": self.record(context).model_dump(mode="json", exclude_none=True)}

    @abstractmethod
    def check(self, dataset: Dataset, served: bool) -> None:
        """Refuse a teacher that does not fit the dataset, or has seen its targets.

        Parameters
        ----------
        dataset
            Dataset of the run.
        served
            Whether the run trains on all interactions, so that no figures depend on what the teacher has seen.

        Raises
        ------
        UserError
            The message has the reason.
        """

    def for_refit(self) -> TeacherSource:
        """Teacher of the training on validation interactions too."""
        return self

    @abstractmethod
    def write(self, context: TrialContext, dataset: Dataset, folder: Path, progress: bool) -> None:
        """Compute the distributions at the training positions of a dataset and store them.

        Parameters
        ----------
        context
            Context of the validated training.
        dataset
            Dataset of this training: the context's, or its view that trains on later parts too.
        folder
            Folder for the arrays: see :mod:`~easrec_nni.retraining.teacher.store`.
        progress
            Whether to show a progress bar.

        Raises
        ------
        UserError
            The teacher cannot be read or does not fit, or its numbers are not finite; or the disk is too small.
        """
