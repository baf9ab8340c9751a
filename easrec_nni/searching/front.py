"""``front.json``: accuracy with inherited weights and cost of the architectures of a trained supernet."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from easrec_nni.common.documents import Document, Number, ResultDocument, read_document
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json, write_text
from easrec_nni.common.run_files import SUPERNET_FILE
from search_spaces.config import Choice

__all__ = [
    "FRONT_FILE",
    "TABLE_FILE",
    "EvaluatedArchitecture",
    "Front",
    "find_front",
    "find_supernet",
    "read_front",
    "write_front",
]

FRONT_FILE, TABLE_FILE = "front.json", "architectures.csv"


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
    largest
        The unpruned architecture, which is always evaluated.
    architectures
        Evaluated architectures, in the order of the space.
    """

    dataset: str
    fingerprint: str
    figure: str
    users: int
    of: int
    largest: Choice
    architectures: list[EvaluatedArchitecture]

    def accuracy(self, architecture: EvaluatedArchitecture) -> float:
        """Figure by which architectures are compared."""
        return architecture.metrics[self.figure]

    def share_of_accuracy(self, architecture: EvaluatedArchitecture) -> float:
        """Accuracy relative to the unpruned network's; 0 if that is 0."""
        unpruned = self.accuracy(self.unpruned())
        return self.accuracy(architecture) / unpruned if unpruned else 0.0

    def unpruned(self) -> EvaluatedArchitecture:
        """Row of the unpruned architecture.

        Raises
        ------
        UserError
            The document lacks it.
        """
        row = next((row for row in self.architectures if row.choice == self.largest), None)
        if row is None:
            raise UserError("the front lacks the unpruned network: `easrec pareto RUN --evaluate` evaluates it")
        return row


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


def find_front(run: Path) -> Path:
    """Folder of the search in a trial's folder, which may be the folder itself.

    Raises
    ------
    UserError
        Neither holds a front.
    """
    found = _folder_with(FRONT_FILE, run)
    if found is not None:
        return found
    hint = ""
    if _folder_with(SUPERNET_FILE, run) is not None:
        hint = f"; `easrec pareto {run} --evaluate` evaluates the architectures of this search's supernet"
    raise UserError(
        f"there is no {run / FRONT_FILE}: give the folder of a finished search with search.strategy: elastic{hint}"
    )


def find_supernet(run: Path) -> Path:
    """Folder of a search with a supernet in a trial's folder, which may be the folder itself.

    Raises
    ------
    UserError
        Neither holds a supernet.
    """
    found = _folder_with(SUPERNET_FILE, run)
    if found is None:
        raise UserError(f"there is no {run / SUPERNET_FILE}: give the folder of a finished one-shot search")
    return found


def _folder_with(name: str, run: Path) -> Path | None:
    return next((folder for folder in (run, run / "search") if (folder / name).is_file()), None)


def read_front(folder: Path) -> Front:
    """Read the front of a search folder.

    Raises
    ------
    UserError
        The file is missing or damaged.
    """
    return read_document(folder / FRONT_FILE, Front, "`easrec pareto RUN --evaluate` writes it again")
