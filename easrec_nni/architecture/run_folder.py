"""Opening the folder of a retrained network, with its dataset."""

from __future__ import annotations

import logging
from pathlib import Path

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.weights import load_network
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import ARCHITECTURE_FILE, REFITTED_FOLDER, RETRAINED_FOLDER, WEIGHTS_FILE
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.loading import load_dataset
from easrec_nni.data.split_names import NO_SPLIT
from search_spaces import EASRecNetwork

__all__ = ["check_dataset", "check_evaluated", "check_items", "network_folder", "open_run", "refitted"]


_logger = logging.getLogger(__name__)


def open_run(
    folder: str | Path, data: Dataset | str | Path | None = None, *, needs_dataset: bool = True
) -> tuple[EASRecNetwork, Dataset | None]:
    """Open the network and the dataset of a folder that ``easrec retrain`` wrote.

    Parameters
    ----------
    folder
        Folder with ``architecture.json`` and ``weights.safetensors``.
    data
        Dataset; by default the one named in the folder.
    needs_dataset
        Whether a missing dataset is an error; if not, None is returned for it.

    Raises
    ------
    UserError
        The folder or the dataset cannot be read, or they do not match.
    """
    run = network_folder(folder)
    architecture = Architecture.read(run / ARCHITECTURE_FILE)
    network = load_network(architecture, run / WEIGHTS_FILE).eval()
    dataset = None
    try:
        dataset = _open(data or (architecture.dataset.name if architecture.dataset else None))
    except UserError:
        if needs_dataset or data is not None:
            raise
    if dataset is not None:
        check_items(architecture, dataset)
    return network, dataset


def network_folder(folder: str | Path) -> Path:
    """Folder of a retrained network; refuse that of a search, whose network is in a folder within.

    Raises
    ------
    UserError
        It is a search's folder.
    """
    run = Path(folder)
    within = run / RETRAINED_FOLDER
    if not (run / WEIGHTS_FILE).is_file() and (within / WEIGHTS_FILE).is_file():
        raise UserError(f"{run} is the folder of a search: its network is in {within}")
    return run


def refitted(run: Path) -> Path | None:
    """Folder of a run's refitted network, which is the one to serve; None without a refit."""
    folder = run / REFITTED_FOLDER
    return folder if (folder / WEIGHTS_FILE).is_file() else None


def _open(data: Dataset | str | Path | None) -> Dataset:
    if data is None:
        raise UserError("the run's architecture.json names no dataset: give --data NAME")
    return data if isinstance(data, Dataset) else load_dataset(data)


def check_dataset(architecture: Architecture, dataset: Dataset) -> None:
    """Check that a dataset has as many items as the architecture; warn if it is another preparation.

    Raises
    ------
    UserError
        The number of items differs.
    """
    _check_size(architecture, dataset)
    trained = architecture.dataset
    if trained is not None and trained.fingerprint not in ("", dataset.fingerprint):
        _logger.warning("the architecture was searched on another preparation of the data (fingerprints differ)")


def check_items(architecture: Architecture, dataset: Dataset) -> None:
    """Check that weights trained on the architecture's dataset fit another one: its items must have the same numbers.

    Of runs that have not recorded their item ids, a warning says that the preparation is another one.

    Raises
    ------
    UserError
        The items are others, or have other numbers.
    """
    _check_size(architecture, dataset)
    trained = architecture.dataset
    if trained is None or trained.fingerprint in ("", dataset.fingerprint):
        return
    if not trained.items_sha256:
        _logger.warning(
            f"the network was trained on another preparation of the data (fingerprints differ), and its folder does "
            f"not say whether items have the same numbers in {dataset.path}: if not, its figures and recommendations "
            "are wrong"
        )
    elif trained.items_sha256 != dataset.items_sha256:
        raise UserError(
            f"the network was trained on another preparation of {trained.name}, and items have other numbers in "
            f"{dataset.path}, so that its embeddings would belong to other items: give the dataset that it was "
            "trained on with --data, or retrain on this one"
        )


def _check_size(architecture: Architecture, dataset: Dataset) -> None:
    if architecture.space.n_items != dataset.n_items:
        raise UserError(
            f"the architecture is for {architecture.space.n_items} items, the dataset {dataset.name} has "
            f"{dataset.n_items}: set space.n_items (and dataset) in the JSON, or give the dataset it was searched on"
        )


def check_evaluated(architecture: Architecture, dataset: Dataset, run: str | Path) -> None:
    """Refuse to evaluate a network by targets that it was trained on.

    Parameters
    ----------
    architecture
        Of the network.
    dataset
        Whose targets it shall be evaluated by.
    run
        The network's folder.

    Raises
    ------
    UserError
        It was trained on all data, or by another split; or the catalogue is another one.
    """
    check_items(architecture, dataset)
    trained = architecture.dataset
    if trained is None or trained.fingerprint == dataset.fingerprint and trained.split != NO_SPLIT:
        return
    if trained.split == NO_SPLIT:
        raise UserError(
            f"{run} was trained on all interactions, those of validation and test too, so that nothing is left to "
            "evaluate it by: evaluate the validated run that it has its number of epochs from"
        )
    if trained.split != dataset.split.name:
        raise UserError(
            f"{run} was trained on {trained.name} split by {trained.split}, and {dataset.name} is split by "
            f"{dataset.split.name}: the network may have seen its targets; evaluate it on the dataset it was trained on"
        )
