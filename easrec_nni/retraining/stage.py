"""Retraining stage: train and evaluate the compact network (Section II-G)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.weights import load_network
from easrec_nni.common.run_files import METRICS_FILE, WEIGHTS_FILE
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.retraining.metrics import (
    RunMetrics,
    read_metrics,
    validated_epochs,
)
from easrec_nni.retraining.refit import fit_again
from easrec_nni.retraining.steps import Retraining
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.parallel import Job
from easrec_nni.training.recorded import describe_training, with_recorded
from search_spaces import EASRecNetwork

__all__ = ["Retrained", "retrain", "retrain_on_all_data", "retraining_worker"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retrained:
    """A trained network and its figures.

    Attributes
    ----------
    network
        The network in evaluation mode.
    figures
        ``metrics.json`` as a typed document.
    folder
        Folder of ``weights.safetensors``, ``architecture.json``, ``metrics.json`` and ``history.csv``.
    """

    network: EASRecNetwork
    figures: RunMetrics
    folder: Path

    @property
    def metrics(self) -> dict[str, Any]:
        """Contents of ``metrics.json`` as a dictionary."""
        return self.figures.as_json()


def retrain(
    architecture: Architecture | str | Path,
    data: Dataset | str | Path,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    settings: TrialSettings | None = None,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    restart: bool = False,
) -> Retrained:
    """Train an architecture's network with early stopping, and evaluate it.

    Needs no NNI experiment. An interrupted run resumes after its last complete epoch; a complete run is reused. All
    validation users select the best epoch. The network before the training competes as epoch −1: if no epoch is better,
    it is returned unchanged. With ``retrain.refit`` the network is then trained once more, in the folder ``refitted``
    (:mod:`~easrec_nni.retraining.refit`); in a complete run, that is all that is done.

    Parameters
    ----------
    architecture
        An architecture or its file, which may be written by hand.
    data
        A dataset, or a name or path for :func:`~easrec_nni.data.load_dataset`.
    out
        Folder for the results.
    weights
        Supernet file to inherit from (Eq. 18), or None to start from fresh weights.
    settings
        Settings of retraining, mode, history, loss, share and seed; the space is the architecture's. A key that is not
        set explicitly is taken from the architecture's ``training`` section, else its default; a line in the log says
        which came from where.
    progress, on_epoch, restart
        Options of :func:`~easrec_nni.searching.stage.search`.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from easrec_nni import Architecture, Choice, SpaceConfig, TrialSettings, prepare, retrain
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> rows = [f"{user},{(user + t) % 9},{t}" for user in range(8) for t in range(6)]
    >>> _ = (folder / "log.csv").write_text("user,item,time" + chr(10) + chr(10).join(rows))
    >>> dataset = prepare(folder / "log.csv", out=folder / "prepared")
    >>> space = SpaceConfig(n_items=9, max_length=4, hidden=8, inner=16, heads=2, layers=2)
    >>> architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1), space=space)
    >>> settings = TrialSettings(data="log", retrain={"epochs": 1})
    >>> trained = retrain(architecture, dataset, folder / "retrained", settings=settings)
    >>> sorted(name for name in trained.metrics["test"] if name.startswith("mrr"))
    ['mrr@10_full', 'mrr@10_pop100', 'mrr@10_pop100_recbole', 'mrr@10_uni100', 'mrr@10_unseen']
    """
    origin = "the architecture" if isinstance(architecture, Architecture) else str(architecture)
    if not isinstance(architecture, Architecture):
        architecture = Architecture.read(architecture)
    dataset = data if isinstance(data, Dataset) else load_dataset(data)
    settings = with_recorded(architecture, settings or TrialSettings(data=dataset.name))
    run = Retraining(TrialContext(settings, dataset, architecture.space), architecture, weights)
    run.check()
    network, folder = run.network(), run.folder(out, restart)
    _logger.info("%s", describe_training(architecture, run.context.settings, origin))
    if (folder.path / METRICS_FILE).is_file():
        _logger.info("%s: already complete, reusing it", folder.path)
        network, metrics = load_network(architecture, folder.path / WEIGHTS_FILE).eval(), read_metrics(folder.path)
    else:
        metrics = run.train(network, folder, progress, on_epoch)
    if settings.retrain.refit and not metrics.test_refitted:
        metrics = run.refit(folder, metrics, progress)
    return Retrained(network, metrics, folder.path)


def retrain_on_all_data(
    architecture: Architecture | str | Path,
    data: Dataset | str | Path,
    out: str | Path,
    *,
    epochs: int | None = None,
    validated: str | Path | None = None,
    weights: str | Path | None = None,
    settings: TrialSettings | None = None,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    restart: bool = False,
) -> Retrained:
    """Train an architecture's network on all interactions, including the test targets, for serving.

    No data is left to select an epoch or to test: there are no figures, and evaluation refuses the network.

    Parameters
    ----------
    architecture, weights, settings, progress, on_epoch, restart
        Arguments of :func:`retrain`.
    data
        A dataset of any split, or a name or path for :func:`~easrec_nni.data.load_dataset`.
    out
        Folder for ``weights.safetensors``, ``architecture.json``, ``metrics.json`` without figures, ``history.csv``.
    epochs
        Number of epochs; by default, that of the validated run's best network.
    validated
        Folder of the validated run; by default, the folder of the architecture's file.

    Raises
    ------
    UserError
        There is neither a validated run nor a number of epochs, or the run's initial weights are of the other kind.
    """
    file = None if isinstance(architecture, Architecture) else Path(architecture)
    if not isinstance(architecture, Architecture):
        architecture = Architecture.read(architecture)
    dataset = data if isinstance(data, Dataset) else load_dataset(data)
    settings = with_recorded(architecture, settings or TrialSettings(data=dataset.name))
    run = Retraining(TrialContext(settings, dataset, architecture.space), architecture, weights)
    run.check_served()
    if epochs is None:
        epochs = validated_epochs(validated or (file.parent if file else None), weights is not None)
    network, folder = run.network(), run.served_folder(out, epochs, restart)
    origin = "the architecture" if file is None else str(file)
    _logger.info(
        "all interactions train, %d epochs; %s", epochs, describe_training(architecture, run.context.settings, origin)
    )
    if (folder.path / METRICS_FILE).is_file():
        _logger.info("%s: already complete, reusing it", folder.path)
        network = load_network(architecture, folder.path / WEIGHTS_FILE).eval()
        return Retrained(network, read_metrics(folder.path), folder.path)
    metrics = run.train_to_serve(network, folder, epochs, progress, on_epoch)
    return Retrained(network.eval(), metrics, folder.path)


def retraining_worker(job: Job) -> None:
    """Data-parallel worker of :func:`retrain`; writes nothing."""
    assert job["architecture"] is not None
    architecture = Architecture.model_validate_json(job["architecture"])
    settings = TrialSettings.parse(job["settings"], "job")
    context = TrialContext(settings, load_dataset(job["data"]), architecture.space)
    run = Retraining(context, architecture, job["weights"])
    if "all_data_epochs" in job:
        epochs = job["all_data_epochs"]
        folder = run.served_folder(job["out"], epochs)
        fit_again(run.network(), context, folder, epochs, False, through="test", loss=run.loss(folder))
        return
    if "refit_epochs" in job:
        refit, epochs = Path(job["out"]), job["refit_epochs"]
        folder = run.refit_folder(run.folder(refit.parent), epochs)
        fit_again(run.network(), context, folder, epochs, progress=False, loss=run.loss(folder))
        return
    run.fit(run.network(), run.folder(job["out"]), progress=False, on_epoch=None)
