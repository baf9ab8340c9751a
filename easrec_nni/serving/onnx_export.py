"""ONNX export of a network, checked against torch before the file is written."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easrec_nni.architecture.onnx_network import OnnxNetwork, need_packages
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write, write_text
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.data.dataset import Dataset
from search_spaces import EASRecNetwork
from search_spaces.attention import CHUNK

__all__ = [
    "OPSET",
    "TOLERANCE",
    "ExportedOnnx",
    "OnnxNetwork",
    "export_onnx",
    "items_name",
    "need_onnx",
    "silence_onnx",
]

OPSET = 20
"""ONNX opset: the first with GELU; onnxruntime reads it since 1.17."""

TOLERANCE = 1e-4
"""Largest accepted difference between torch's scores and onnxruntime's."""

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST_WEIGHTS = 2_000_000_000  # bytes; protocol buffers, and so ONNX files, are limited to 2 GiB
EXAMPLE_SHAPE = (3, 2 * CHUNK + 2)  # longer than a chunk, so that linear attention's general form is exported
CHECKED_SHAPES = ((1, 1), (2, 5), (3, CHUNK), (1, CHUNK + 1), (7, 2 * CHUNK + 9))
REAL_USERS = 64


@dataclass(frozen=True)
class ExportedOnnx:
    """Result of an ONNX export.

    Attributes
    ----------
    file
        ONNX file: input ``ids`` ``[batch, length]`` of int64, 0 = padding; output ``scores`` ``[batch, n_items + 1]``.
    opset
        ONNX opset of the file.
    difference
        Largest difference from torch's scores.
    histories
        Number of histories compared.
    items
        JSON list of item ids by item number, null for 0 (padding); None without a dataset.
    """

    file: Path
    opset: int
    difference: float
    histories: int
    items: Path | None = None


def items_name(file: Path) -> Path:
    """Path of the table of item ids beside an ONNX file.

    Examples
    --------
    >>> str(items_name(Path("out/network.onnx")))
    'out/network.items.json'
    """
    return file.with_name(f"{file.stem}.items.json")


def need_onnx() -> None:
    """Check that the packages of the ``onnx`` extra are installed.

    Raises
    ------
    UserError
        A package is missing; the message says how to install it.
    """
    need_packages(PACKAGES)


def export_onnx(network: EASRecNetwork, path: str | Path, dataset: Dataset | None = None) -> ExportedOnnx:
    """Export a network to ONNX, for any number of users and any history length.

    The file's scores must equal torch's within :data:`TOLERANCE` on random histories with padding at either side and,
    given a dataset, on its users' histories. A dataset's item ids are written beside the file as a JSON list in the
    order of the item numbers; the file's metadata have the list's name (``item_ids``) and SHA-256
    (``item_ids_sha256``), and the dataset's name and fingerprint.

    Parameters
    ----------
    network
        Network of one architecture.
    path
        File to write.
    dataset
        Dataset for comparing test users' histories and for the item ids.

    Raises
    ------
    UserError
        A package is missing, the network is a supernet or too large, the file cannot be written, or its scores differ
        from torch's. No file is left then.
    """
    need_onnx()
    if not network.config.is_fixed:
        raise UserError("this is a supernet: export the network of one architecture (freeze, or a retrained folder)")
    if sum(weight.numel() * weight.element_size() for weight in network.state_dict().values()) > LARGEST_WEIGHTS:
        raise UserError("the weights are larger than 2 GB, the limit of ONNX files")
    was_training = network.training
    network.eval()
    try:
        with atomic_write(Path(path)) as temporary:
            program, items_file = _program(network), items_name(Path(path))
            text = None if dataset is None else json.dumps([None, *dataset.item_ids[1:].tolist()]) + "\n"
            if dataset is not None and text is not None:
                digest = hashlib.sha256(text.encode()).hexdigest()
                provenance = {"dataset": dataset.name, "dataset_fingerprint": dataset.fingerprint}
                program.model.metadata_props.update(
                    {"item_ids": items_file.name, "item_ids_sha256": digest, **provenance}
                )
            program.save(str(temporary))
            difference, histories = _compare(network, temporary, dataset)
            if not difference <= TOLERANCE:
                raise UserError(
                    f"the ONNX file's scores differ from torch's by {difference:.2g}, more than {TOLERANCE:g}: nothing "
                    "was written; please report the architecture.json"
                )
            if text is not None:
                write_text(items_file, text)
    finally:
        network.train(was_training)
    return ExportedOnnx(Path(path), OPSET, difference, histories, None if text is None else items_file)


def _program(network: EASRecNetwork) -> Any:
    dynamic = {"ids": {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}}
    with silence_onnx():
        program = torch.onnx.export(
            network,
            (torch.ones(EXAMPLE_SHAPE, dtype=torch.int64, device=network.embedding.items.weight.device),),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=dynamic,
            input_names=["ids"],
            output_names=["scores"],
            verbose=False,
        )
    assert program is not None
    config = network.config
    program.model.metadata_props.update(
        {"max_length": str(config.max_length), "n_items": str(config.n_items), "padding": "0"}
    )
    return program


@contextmanager
def silence_onnx() -> Iterator[None]:
    """Suppress warnings and log records of the exporter, the optimiser and the quantiser."""
    level = logging.root.manager.disable
    logging.disable(max(level, logging.WARNING))  # they use several loggers: torch.onnx, onnxscript, onnx_ir, root
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@torch.no_grad()
def _compare(network: EASRecNetwork, file: Path, dataset: Dataset | None) -> tuple[float, int]:
    exported = OnnxNetwork(file, network.config.max_length)
    worst, histories = 0.0, 0
    for ids in [*_random_histories(network.config.n_items), *_real_histories(network, dataset)]:
        expected = network(ids.to(network.embedding.items.weight.device)).cpu()
        scores = exported(ids)
        if scores.shape != expected.shape:
            raise UserError(f"the ONNX file gives {list(scores.shape)} scores instead of {list(expected.shape)}")
        # Python's max() would ignore NaN.
        worst = max(worst, float(np.nan_to_num((scores - expected)[:, 1:].abs().max().numpy(), nan=np.inf)))
        histories += len(ids)
    return worst, histories


def _random_histories(n_items: int) -> Iterator[Tensor]:
    """Random histories: first row padded on the left, last on the right, second empty."""
    random = np.random.default_rng(0)
    for users, length in CHECKED_SHAPES:
        ids: NDArray[np.int64] = random.integers(1, n_items + 1, (users, length))
        ids[0, : length // 3] = 0
        if users > 1:
            ids[-1, length - length // 3 :] = 0
        if users > 2:
            ids[1] = 0
        yield torch.from_numpy(ids)


def _real_histories(network: EASRecNetwork, dataset: Dataset | None) -> Iterator[Tensor]:
    if dataset is not None and len(dataset.split.test):
        rows = dataset.split.test.first_rows[:REAL_USERS]
        for batch in EvaluationBatches(dataset, "test", network.config.max_length, REAL_USERS, rows):
            yield batch.ids
