"""``front.json``: accuracy with inherited weights and cost of the architectures of a trained supernet."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.common.documents import Document, Number, ResultDocument, read_document
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json, write_text
from easrec_nni.common.provenance import provenance
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.evaluation.ranking import Ranker, metrics_of
from easrec_nni.evaluation.scoring import evaluation_batch_size, network_device
from easrec_nni.evaluation.selection import protocol_of
from easrec_nni.training.context import TrialContext
from search_spaces import Choice, EASRecNetwork, SpaceConfig

__all__ = [
    "FRONT_FILE",
    "TABLE_FILE",
    "EvaluatedArchitecture",
    "Front",
    "choices_to_evaluate",
    "evaluate_architectures",
    "inherited_figures",
    "read_front",
    "write_front",
]

FRONT_FILE, TABLE_FILE = "front.json", "architectures.csv"

_logger = logging.getLogger(__name__)


class EvaluatedArchitecture(Document):
    """Architecture with its validation figures, by inherited weights, and its cost."""

    hidden_pruning: float
    inner_pruning: float
    depth: int
    metrics: dict[str, float]
    cost: dict[str, Number]

    @property
    def choice(self) -> Choice:
        """The architecture."""
        return Choice(hidden_pruning=self.hidden_pruning, inner_pruning=self.inner_pruning, depth=self.depth)

    @property
    def name(self) -> str:
        """Candidate's label and depth, for tables and messages."""
        return f"{self.choice.label}, depth {self.depth}"


class Front(ResultDocument):
    """Contents of ``front.json``.

    Attributes
    ----------
    dataset, fingerprint
        Dataset of the supernet.
    figure
        Metric that selected the supernet's epoch, by which the architectures are compared.
    users
        Number of validation users; none of them trained alpha or beta.
    of
        Number of architectures of the space, of which the document may hold a random sample.
    architectures
        Evaluated architectures, in the order of the space.
    """

    dataset: str
    fingerprint: str
    figure: str
    users: int
    of: int
    architectures: list[EvaluatedArchitecture]

    def accuracy(self, architecture: EvaluatedArchitecture) -> float:
        """Figure by which architectures are compared."""
        return architecture.metrics[self.figure]

    def find(self, choice: Choice) -> EvaluatedArchitecture | None:
        """Row of an architecture; None if it was not evaluated."""
        return next((row for row in self.architectures if row.choice == choice), None)


def choices_to_evaluate(config: SpaceConfig, limit: int, seed: int) -> list[Choice]:
    """Architectures of a space: all of them, or a random sample with the largest and the smallest.

    Parameters
    ----------
    config
        The space.
    limit
        Largest number of architectures, at least 2.
    seed
        Seed of the sample.
    """
    everything = config.architectures()
    if len(everything) <= limit:
        return everything
    ends = {everything.index(config.largest), everything.index(config.smallest)}
    others = [number for number in range(len(everything)) if number not in ends]
    drawn = np.random.default_rng(seed).choice(others, limit - len(ends), replace=False)
    return [everything[number] for number in sorted({*ends, *drawn.tolist()})]


@torch.no_grad()
def inherited_figures(context: TrialContext, network: EASRecNetwork) -> dict[str, float]:
    """Validation figures of a network over the selection users, ranked as ``select_by`` says."""
    dataset, protocol = context.dataset, protocol_of(context.settings.select_by)
    size = evaluation_batch_size(dataset.n_items)
    batches = EvaluationBatches(dataset, "valid", context.space.max_length, size, context.selection_rows)
    ranker, rows, device = Ranker(dataset, "valid", [protocol]), [], network_device(network)
    network.eval()
    for batch in batches:
        moved = type(batch)(*(tensor.to(device) for tensor in batch))
        ranker.add(network(moved.ids), moved)
        rows.append(batch.rows)
    users = dataset.split.valid.row_users
    return metrics_of(ranker.ranks(), users=None if users is None else users[torch.cat(rows).numpy()])


def evaluate_architectures(
    context: TrialContext,
    freeze: Callable[[Choice], EASRecNetwork],
    choices: Sequence[Choice],
    progress: Callable[[Sequence[Choice]], Iterable[Choice]] = iter,
) -> Front:
    """Evaluate architectures with a supernet's weights.

    Parameters
    ----------
    context
        Context of the search.
    freeze
        Function that returns an architecture's compact network with the supernet's weights.
    choices
        The architectures.
    progress
        Function that iterates over them and shows a progress bar.
    """
    rows = [
        EvaluatedArchitecture(
            **choice.model_dump(),
            metrics=inherited_figures(context, freeze(choice)),
            cost=architecture_cost(context.space, choice).as_dict(),
        )
        for choice in progress(choices)
    ]
    total = len(context.space.architectures())
    if len(rows) < total:
        _logger.info("%d of %d architectures evaluated, drawn at random (search.elastic.evaluated)", len(rows), total)
    return Front(
        dataset=context.dataset.name,
        fingerprint=context.dataset.fingerprint,
        figure=context.settings.select_by,
        users=len(np.unique(context.dataset.split.valid.users[context.selection_rows])),
        of=total,
        architectures=rows,
        **provenance(),
    )


def write_front(front: Front, folder: Path) -> None:
    """Write ``architectures.csv`` and ``front.json`` into a search folder."""
    names = [*EvaluatedArchitecture.model_fields][:3]
    text = io.StringIO()
    first = front.architectures[0]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *first.metrics, *first.cost])
    for row in front.architectures:
        writer.writerow([*(getattr(row, name) for name in names), *row.metrics.values(), *row.cost.values()])
    write_text(folder / TABLE_FILE, text.getvalue())
    write_json(folder / FRONT_FILE, front.as_json())


def read_front(folder: Path) -> Front:
    """Read the front of a search folder.

    Raises
    ------
    UserError
        The folder holds no search of the elastic strategy, or the file is damaged.
    """
    file = folder / FRONT_FILE
    if not file.is_file():
        raise UserError(
            f"there is no {file}: give the folder of a search with search.strategy: elastic, which writes it at its end"
        )
    return read_document(file, Front, "`easrec pareto RUN --evaluate` writes it again")
