"""Final result of a trial for NNI: the objective, figures of the network, its architecture."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Protocol

from easrec_nni.architecture.document import Architecture, is_decided
from easrec_nni.common.documents import Document, Value
from easrec_nni.evaluation.judgement import TESTED
from easrec_nni.evaluation.selection import MONITOR, SELECTED
from easrec_nni.retraining.judgement import RunJudgement
from easrec_nni.training.context import TrialContext
from easrec_nni.trial.objective import Objective
from search_spaces import candidate_label

__all__ = ["FinalResult", "Figures", "final_result"]


class Figures(Protocol):
    """Figures of a finished run, from ``metrics.json`` or a cell's ``result.json``."""

    @property
    def test(self) -> dict[str, float]:
        """Accuracy on the test targets."""

    @property
    def test_refitted(self) -> dict[str, float]:
        """Accuracy on the test targets after a refit, if there was one."""

    @property
    def valid(self) -> dict[str, float]:
        """Accuracy on the validation targets."""

    @property
    def valid_selection_users(self) -> dict[str, float]:
        """Validation accuracy over the selection users, with a standard error."""

    @property
    def cost(self) -> dict[str, float]:
        """Cost of the network."""

    @property
    def inference(self) -> dict[str, float]:
        """Scoring time, if measured."""


class FinalResult(Document):
    """Typed keys of the final result.

    Figures (``valid_…``, ``test_…``, costs, choices, entropies) are further keys.

    Attributes
    ----------
    default
        The objective, which the tuner maximises.
    default_standard_error
        Standard error of the validation NDCG@10 in the objective.
    objective
        Kind of the objective.
    select_by
        Metric that selected the epochs.
    architecture
        The architecture document on one line; missing for a baseline without a network.
    files_at
        Machine and folder of ``architecture.json`` and, after a search, ``supernet.safetensors``.
    """

    default: float
    objective: str
    select_by: str = MONITOR
    default_standard_error: float
    architecture: str | None = None
    files_at: str | None = None
    seed: int
    dataset: str
    dataset_fingerprint: str
    search_seconds: float
    retrain_seconds: float


def final_result(
    context: TrialContext,
    figures: Figures,
    architecture: Architecture | None,
    folder: Path,
    *,
    search_seconds: float,
    retrain_seconds: float,
    judgement: RunJudgement | None = None,
) -> dict[str, Any]:
    """Final result of any trial: of a search, a given architecture, or a study's cell.

    ``default``, which the tuner maximises, is the objective: unless the settings say otherwise, the validation NDCG@10
    that ``select_by`` names, over the users whose validation targets trained no architecture parameter; if the cross
    entropy selects the epochs, the NDCG@10 that suits the dataset. Test figures have keys of their own and decide
    nothing.

    With ``architecture`` (the document on one line) and ``files_at`` (machine and folder of the files), ``easrec
    export`` works without the trial's folder, which stays on the worker.

    Parameters
    ----------
    context
        Context of the trial.
    figures
        Figures of the trial's network or baseline.
    architecture
        Architecture of the network; None for a baseline without a network.
    folder
        Folder of ``architecture.json`` and, after a search, ``supernet.safetensors``.
    search_seconds, retrain_seconds
        Computing time of the two stages in seconds.
    judgement
        Judgement against the unpruned network.
    """
    selecting = figures.valid_selection_users
    inference = {key: value for key, value in figures.inference.items() if key == "inference_ms_per_user"}
    costs = {**figures.cost, **inference}
    document = {
        **Objective.of(context).keys(selecting[context.figure], costs),
        "default_standard_error": selecting[f"{context.figure}_standard_error"],
        "select_by": context.settings.select_by,
        **{f"valid_{name}": value for name, value in figures.valid.items()},
        **{f"test_{name}": value for name, value in {**figures.test, **figures.test_refitted}.items()},
        **costs,
        **(_judgement_keys(judgement) if judgement is not None else {}),
        **(_network_keys(architecture, folder) if architecture is not None else {}),
        "seed": context.settings.seed,
        "dataset": context.dataset.name,
        "dataset_fingerprint": context.dataset.fingerprint,
        "search_seconds": search_seconds,
        "retrain_seconds": retrain_seconds,
    }
    checked = FinalResult.model_validate(document).as_json()
    return {name: checked[name] for name in document}


def _judgement_keys(judgement: RunJudgement) -> dict[str, Value]:
    return {
        **judgement.valid_selection_users.keys(SELECTED),
        **judgement.test.keys(TESTED),
        **{f"unpruned_{name}": value for name, value in judgement.unpruned_cost.items()},
        "unpruned_run": judgement.compared_with,
    }


def _network_keys(architecture: Architecture, folder: Path) -> dict[str, Value]:
    choices = architecture.choices
    return {
        **choices.model_dump(mode="json"),
        "pruning": candidate_label(choices.hidden_pruning, choices.inner_pruning),
        **{f"entropy_{label}": entropy for label, entropy in architecture.entropies.items()},
        **({"decided": int(is_decided(architecture.entropies))} if architecture.entropies else {}),
        # An architecture that was not searched has neither.
        **({} if architecture.lambda_ is None else {"lambda": architecture.lambda_}),
        **({} if architecture.budget is None else {"budget": architecture.budget}),
        "architecture": architecture.to_json(indent=None),
        "files_at": f"{socket.gethostname()}:{folder.resolve()}",
    }
