"""Search stage: from a dataset and settings to an architecture and its supernet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from easrec_nni.architecture.document import Architecture, is_decided
from easrec_nni.architecture.weights import read_weights, save_weights
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import ARCHITECTURE_FILE, HISTORY_FILE, SUPERNET_FILE
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.evaluation.selection import CROSS_ENTROPY
from easrec_nni.searching.by_trials import search_by_trials
from easrec_nni.searching.costs import check_budget, check_within_budget
from easrec_nni.searching.elastic import search_elastic, train_elastic
from easrec_nni.searching.one_shot import option_names, search_one_shot
from easrec_nni.searching.record import Decision
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.history import read_history
from easrec_nni.training.parallel import Job, data_parallel
from easrec_nni.training.run_folder import RunFolder
from strategies import MULTI_TRIAL_STRATEGIES, SUPERNET_STRATEGIES

__all__ = ["SearchResult", "run_search", "search", "search_worker"]

_logger = logging.getLogger(__name__)

_SEARCHES = dict.fromkeys(MULTI_TRIAL_STRATEGIES, search_by_trials) | dict.fromkeys(SUPERNET_STRATEGIES, search_elastic)
LATER = ("cost", "arch_loss")
"""Parts of a search's identity that runs of earlier versions lack; finished ones are taken as they are."""
"""Functions that run the strategies other than the differentiable ones."""


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes
    ----------
    architecture
        The argmax architecture of the final alpha and beta (Eq. 18; ``search.export``), or the best candidate, or the
        best slice of an elastic supernet.
    supernet
        File with weights, alpha and beta of the best epoch among those with this argmax architecture. After a
        multi-trial search (:mod:`easrec_nni.searching.by_trials`): weights of the best candidate's compact network,
        which a retraining can inherit in the same way.
    history
        A row for each epoch, or for each trained candidate.
    """

    architecture: Architecture
    supernet: Path
    history: list[dict[str, float]]


def search(
    data: Dataset | str | Path,
    settings: TrialSettings,
    out: str | Path,
    *,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    restart: bool = False,
) -> SearchResult:
    """Search for an architecture; an interrupted run resumes after its last complete epoch.

    Parameters
    ----------
    data
        A dataset, or a name or path for :func:`~easrec_nni.data.load_dataset`.
    settings
        Settings of space and search; those of the retraining are not used.
    out
        Folder for ``architecture.json``, ``supernet.safetensors``, ``history.csv`` and the run's state.
    progress
        Whether to draw a progress bar.
    on_epoch
        Called with the row of every epoch.
    restart
        Whether to start over in a folder that holds another run.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from easrec_nni import TrialSettings, load_dataset, search
    >>> from easrec_nni.data import prepare
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> rows = [f"{user},{(user + t) % 9},{t}" for user in range(8) for t in range(6)]
    >>> _ = (folder / "log.csv").write_text("user,item,time" + chr(10) + chr(10).join(rows))
    >>> dataset = prepare(folder / "log.csv", out=folder / "prepared")
    >>> space = {"max_length": 4, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}
    >>> settings = TrialSettings(data="log", space=space, search={"epochs": 1})
    >>> result = search(dataset, settings, folder / "searched")
    >>> result.architecture.choices.depth in (1, 2)
    True
    """
    dataset = data if isinstance(data, Dataset) else load_dataset(data)
    context = TrialContext.open(settings, dataset)
    return run_search(context, out, progress=progress, on_epoch=on_epoch, restart=restart)


def run_search(
    context: TrialContext,
    out: str | Path,
    *,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    restart: bool = False,
) -> SearchResult:
    """Run the search stage of a trial; parameters and files are those of :func:`search`."""
    settings = context.settings
    if context.space.is_fixed:
        raise UserError(
            "the space has one architecture: give it several pruning ratios or depths, or retrain it directly"
        )
    by_trials = settings.search.strategy in MULTI_TRIAL_STRATEGIES
    if by_trials and settings.devices > 1:
        raise UserError(
            f"settings, devices: {settings.search.strategy} searches by trials, which train one small network after "
            f"another and do not use {settings.devices} devices: set devices: 1"
        )
    check_budget(context)
    folder = RunFolder.open(out, context.identity("search"), restart, later=LATER)
    architecture_file, supernet_file = folder.path / ARCHITECTURE_FILE, folder.path / SUPERNET_FILE
    if not architecture_file.is_file():
        _refuse_unfinished(folder, settings)
        run = _SEARCHES.get(settings.search.strategy, search_one_shot)
        with data_parallel(settings.devices, context.job(folder.path), "easrec_nni.searching.worker"):
            decision = run(context, folder, progress, on_epoch)
        architecture = _architecture(context, decision)
        check_within_budget(context, architecture.choices)
        if not is_decided(architecture.entropies):
            _logger.warning(
                "undecided: %s at the end of the search, in nats; another seed may choose another network. More "
                "search.epochs or search.arch_movement let it decide",
                ", ".join(f"entropy of {label} {entropy:.2f}" for label, entropy in architecture.entropies.items()),
            )
        save_weights(read_weights(decision.weights), supernet_file)
        architecture.write(architecture_file)  # last: its presence marks the search as complete
    else:
        _logger.info("%s: already complete, reusing it", folder.path)
        check_within_budget(context, Architecture.read(architecture_file).choices)
    history = read_history(folder.state / HISTORY_FILE)
    return SearchResult(Architecture.read(architecture_file), supernet_file, history)


def _refuse_unfinished(folder: RunFolder, settings: TrialSettings) -> None:
    """Refuse to go on with a search that an earlier version began under another default."""
    earlier = ""
    if "cost" not in folder.identity and settings.search.cost_kind != "nominal":
        earlier = "weighed nominal cost: set search.cost: nominal"
    elif "arch_loss" not in folder.identity and settings.search.calibrates:
        earlier = "trained alpha and beta by the loss of the weights: set search.arch_loss: training"
    if earlier:
        raise UserError(
            f"{folder.path} holds an unfinished search of an earlier version, which {earlier}, choose another --out, "
            "or pass --restart to start over"
        )


def search_worker(job: Job) -> None:
    """Data-parallel worker of :func:`run_search`; writes nothing."""
    context = TrialContext.open(TrialSettings.parse(job["settings"], "job"), load_dataset(job["data"]))
    folder = RunFolder.open(job["out"], context.identity("search"), later=LATER)
    run = train_elastic if context.settings.search.strategy in SUPERNET_STRATEGIES else search_one_shot
    run(context, folder, progress=False, on_epoch=None)


def _architecture(context: TrialContext, decision: Decision) -> Architecture:
    options = option_names(context.space)
    probabilities = {
        label: dict(zip(options[label], values, strict=True)) for label, values in decision.probabilities.items()
    }
    return context.architecture(
        context.space.choice(decision.choice),
        probabilities=probabilities,
        metrics={
            f"search_valid_{name}": value
            for name, value in decision.row.items()
            if "@" in name or name == CROSS_ENTROPY
        },
        **{"lambda": context.settings.search.lambda_},
        budget=context.settings.search.budget,
        cost_kind=context.settings.search.cost_kind,
    )
