"""Teacher in the folder of a retrained network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.run_folder import check_evaluated, check_items
from easrec_nni.architecture.training_settings import TeacherKind
from easrec_nni.architecture.weights import load_network
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import ARCHITECTURE_FILE, REFITTED_FOLDER, WEIGHTS_FILE
from easrec_nni.data.arrays import places_between
from easrec_nni.data.batches.modes import History
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.data.dataset import Dataset
from easrec_nni.retraining.teacher.source import TeacherSource
from easrec_nni.retraining.teacher.store import PLACES, STATES, VECTORS, new_arrays, states_arrays
from easrec_nni.training.context import TrialContext
from easrec_nni.training.micro_batches import parts_of
from search_spaces import EASRecNetwork

__all__ = ["RunTeacher"]

BATCH_SIZE = 1024


@dataclass(frozen=True)
class RunTeacher(TeacherSource):
    """Network of a run folder, of any width, attention and window, trained on the same dataset.

    A causal network that was trained with a loss at every position reads the histories in pieces of its own window, as
    in its training, so that one pass over a piece gives all of its states; any other reads the history before each
    target.
    """

    kind: ClassVar[TeacherKind] = "run"

    @property
    def weights(self) -> Path:
        """Weights of the network."""
        return self.path / WEIGHTS_FILE

    @cached_property
    def architecture(self) -> Architecture:
        """Architecture of the network."""
        return Architecture.read(self.path / ARCHITECTURE_FILE)

    def check(self, dataset: Dataset, served: bool) -> None:
        """See :meth:`.TeacherSource.check`."""
        if not self.weights.is_file():
            raise UserError(f"the teacher {self.path} has no {WEIGHTS_FILE}: give the folder of a finished retraining")
        trained = self.architecture.dataset
        if trained is not None and trained.fingerprint not in ("", dataset.fingerprint):
            raise UserError(
                f"the teacher {self.path} was trained on another dataset ({trained.name}, fingerprint "
                f"{trained.fingerprint[:12]}; this is {dataset.name}, {dataset.fingerprint[:12]}), so that its items "
                "may have other numbers: give a teacher that was trained on this one"
            )
        if served:
            check_items(self.architecture, dataset)
            return
        check_evaluated(self.architecture, dataset, f"the teacher {self.path}")
        training = self.architecture.training
        if training is not None and training.refitted_epochs is not None:
            raise UserError(
                f"the teacher {self.path} was refitted on the validation interactions, so that the validation would "
                "measure what it has seen: give the folder of the validated run; "
                f"its {REFITTED_FOLDER}/ teaches the refit"
            )

    def for_refit(self) -> RunTeacher:
        """The run's refitted network if it has one: it was trained on the same interactions as the refit."""
        again = RunTeacher(self.path / REFITTED_FOLDER)
        return again if again.weights.is_file() else self

    @torch.no_grad()
    def write(self, context: TrialContext, dataset: Dataset, folder: Path, progress: bool) -> None:
        """See :meth:`.TeacherSource.write`; the states are rounded to float16."""
        network = load_network(self.architecture, self.weights).eval()
        network.to("cuda" if torch.cuda.is_available() else "cpu")
        batches = self._batches(dataset, context.settings.history)
        samples = batches.samples
        places = np.sort(places_between(samples.ends - samples.targets, samples.ends))
        vectors = network.item_vectors()
        if not vectors.isfinite().all():
            raise UserError(f"the teacher {self.path} has item vectors that are not finite: its training diverged")
        shapes = states_arrays(len(places), vectors.shape[1], len(vectors))
        with new_arrays(folder, shapes, "states") as arrays:
            arrays[PLACES][:], arrays[VECTORS][:] = places, vectors.cpu().numpy()
            for batch_places, states in track(
                _states(network, batches), "teacher", len(batches), disable=not progress, transient=True
            ):
                stored = states.half()
                if not stored.isfinite().all():
                    raise UserError(f"the teacher {self.path} has states that are not finite: its training diverged")
                arrays[STATES][np.searchsorted(places, batch_places.numpy())] = stored.cpu().numpy()

    def _batches(self, dataset: Dataset, history: History) -> TrainingBatches:
        """All training positions, as the teacher reads them."""
        space, training = self.architecture.space, self.architecture.training
        in_pieces = space.direction == "causal" and (training is None or training.mode in (None, "causal"))
        if not in_pieces:
            return TrainingBatches(dataset, space.max_length, BATCH_SIZE, "augmented", 0)
        history = "overlapping" if history == "overlapping" else "all"
        return TrainingBatches(dataset, space.max_length, BATCH_SIZE, "causal", 0, history)


def _states(network: EASRecNetwork, batches: TrainingBatches) -> Iterator[tuple[Tensor, Tensor]]:
    """Places ``[P]`` and states ``[P, w]`` of each batch."""
    width = max(network.config.hidden, network.config.inner)
    device = network.embedding.items.weight.device
    for batch in batches:
        assert batch.places is not None
        if batch.targets.dim() == 1:
            yield batch.places, network.newest_state(batch.ids.to(device))
            continue
        places, states = [], []
        for part, _ in parts_of(batch, width):
            real = part.targets != 0
            assert part.places is not None
            places.append(part.places[real])
            states.append(network.states(part.ids.to(device))[real.to(device)])
        yield torch.cat(places), torch.cat(states)
