"""Teacher in an ONNX file, of any program that writes one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from easrec_nni.architecture.onnx_network import OnnxNetwork
from easrec_nni.architecture.training_settings import TeacherKind
from easrec_nni.common.errors import UserError
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.scoring import evaluation_batch_size
from easrec_nni.retraining.teacher.source import TeacherSource
from easrec_nni.retraining.teacher.store import ITEMS, PLACES, PROBABILITIES, new_arrays, top_arrays
from easrec_nni.training.context import TrialContext

__all__ = ["OnnxTeacher"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OnnxTeacher(TeacherSource):
    """Network in an ONNX file, from whole numbers ``[B, N]`` to scores ``[B, n_items + 1]`` or ``[B, n_items]``.

    The input has the item numbers of the dataset (the place of an id in ``item_ids``, from 1), padded with 0 on the
    left. With ``n_items + 1`` columns of scores, column i is item i, and the first is ignored; with ``n_items``, column
    i is item i + 1. A file of ``easrec export --onnx`` is such a file.

    It reads the history before each target, as when it recommends. The ``retrain.teacher_items`` most probable items of
    each position are stored.
    """

    kind: ClassVar[TeacherKind] = "onnx"

    @cached_property
    def network(self) -> OnnxNetwork:
        """The network."""
        return OnnxNetwork(self.path, 0, torch.get_num_threads())

    @cached_property
    def metadata(self) -> dict[str, str]:
        """Metadata of the file."""
        return dict(self.network.session.get_modelmeta().custom_metadata_map)

    def check(self, dataset: Dataset, served: bool) -> None:
        """See :meth:`.TeacherSource.check`; what it was trained on is not known."""
        inputs = self.network.session.get_inputs()
        shapes = [f"{value.name} {list(value.shape)} of {value.type}" for value in inputs]
        if len(inputs) != 1 or len(inputs[0].shape) != 2 or inputs[0].type not in _NUMBERS:
            raise UserError(
                f"the teacher {self.path} takes {', '.join(shapes)}: export it with one input, item numbers [B, N] of "
                "int64 or int32 (0 = padding on the left)"
            )
        if isinstance(inputs[0].shape[0], int):
            raise UserError(
                f"the teacher {self.path} takes exactly {inputs[0].shape[0]} histories: export it with a dynamic first "
                "dimension"
            )
        trained, fingerprint = self.metadata.get("dataset", "another"), self.metadata.get("dataset_fingerprint")
        if fingerprint not in (None, dataset.fingerprint):
            raise UserError(
                f"the teacher {self.path} was exported for another dataset ({trained}, fingerprint {fingerprint[:12]}; "
                f"this is {dataset.name}, {dataset.fingerprint[:12]}), so that its items may have other numbers: give "
                "a file for this one"
            )
        first = torch.from_numpy(np.asarray(dataset.items[:1], dtype=np.int64))[None]
        self._scores(first, dataset.n_items)

    @torch.no_grad()
    def write(self, context: TrialContext, dataset: Dataset, folder: Path, progress: bool) -> None:
        """See :meth:`.TeacherSource.write`."""
        options = context.settings.retrain
        length = self._length(context)
        size = evaluation_batch_size(dataset.n_items)
        batches = TrainingBatches(dataset, length, size, "augmented", 0)
        places = np.sort(batches.samples.ends - 1)
        best = min(options.teacher_items, dataset.n_items)
        with new_arrays(folder, top_arrays(len(places), best), f"{best} best items") as arrays:
            arrays[PLACES][:] = places
            for batch in track(batches, "teacher", len(batches), disable=not progress, transient=True):
                assert batch.places is not None
                probabilities = (self._scores(batch.ids, dataset.n_items) / options.temperature).softmax(1)
                top = probabilities.topk(best)
                rows = np.searchsorted(places, batch.places.numpy())
                arrays[ITEMS][rows], arrays[PROBABILITIES][rows] = top.indices.numpy(), top.values.numpy()

    def _length(self, context: TrialContext) -> int:
        """Number of newest interactions that the network is given."""
        fixed = self.network.session.get_inputs()[0].shape[1]
        if isinstance(fixed, int):
            return fixed
        recorded = self.metadata.get("max_length", "")
        if recorded.isdecimal() and 0 < int(recorded) < 1 << 20:
            return int(recorded)
        length = context.space.max_length
        _logger.info("the teacher %s does not say how many interactions it reads: it gets %d", self.path, length)
        return length

    def _scores(self, ids: Tensor, n_items: int) -> Tensor:
        """Scores ``[B, n_items]`` of histories ``[B, T]``."""
        value = self.network.session.get_inputs()[0]
        if isinstance(value.shape[1], int):
            ids = F.pad(ids, (value.shape[1] - ids.shape[1], 0))
        try:
            scores: Any = self.network(ids.to(_NUMBERS[value.type]))
        except Exception as error:  # onnxruntime raises many classes
            raise UserError(f"the teacher {self.path} cannot score histories: {str(error)[:200]}") from None
        if not isinstance(scores, Tensor) or scores.shape not in ((len(ids), n_items), (len(ids), n_items + 1)):
            raise UserError(
                f"the teacher {self.path} gives {list(scores.shape)} scores for {len(ids)} histories: the dataset has "
                f"{n_items} items, so that [{len(ids)}, {n_items + 1}] (the first column for padding) or "
                f"[{len(ids)}, {n_items}] are expected"
            )
        scores = scores[:, -n_items:].float()
        if not scores.isfinite().all():
            raise UserError(f"the teacher {self.path} gives scores that are not finite")
        return scores


_NUMBERS = {"tensor(int64)": torch.int64, "tensor(int32)": torch.int32}
