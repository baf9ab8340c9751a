"""A network as an ONNX file, compared with torch before it is written."""

from __future__ import annotations

import hashlib
import importlib
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
from torch import Tensor, nn

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import replacing, write_text
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
    "without_notes",
]

OPSET = 20
"""Version of ONNX's operators: the first that has GELU, and that onnxruntime reads since 1.17."""

TOLERANCE = 1e-4
"""Largest difference between torch's scores and onnxruntime's."""

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST_WEIGHTS = 2_000_000_000  # bytes; protocol buffers, which ONNX files are, end at 2 GiB
EXAMPLE_SHAPE = (3, 2 * CHUNK + 2)  # longer than a chunk of linear attention, whose general form is then exported
CHECKED_SHAPES = ((1, 1), (2, 5), (3, CHUNK), (1, CHUNK + 1), (7, 2 * CHUNK + 9))
REAL_USERS = 64


@dataclass(frozen=True)
class ExportedOnnx:
    """What an export wrote.

    Attributes
    ----------
    file
        The file: input ``ids`` ``[batch, length]`` of int64, 0 = padding; output ``scores`` ``[batch, n_items + 1]``.
    opset
        Version of its operators.
    difference
        Largest difference from torch's scores.
    histories
        Number of histories that were compared.
    items
        JSON list of the dataset's id of each item number, null for 0 (padding); None where no dataset is known.
    """

    file: Path
    opset: int
    difference: float
    histories: int
    items: Path | None = None


def items_name(file: Path) -> Path:
    """Name beside an ONNX file of its table of item ids.

    Examples
    --------
    >>> str(items_name(Path("out/network.onnx")))
    'out/network.items.json'
    """
    return file.with_name(f"{file.stem}.items.json")


def need_onnx() -> None:
    """Refuse to go on without the packages of the extra.

    Raises
    ------
    UserError
        Names what is missing, and how to install it.
    """
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            raise UserError(f"ONNX files need the package {name}: pip install 'easrec-nni[onnx]'") from None


class OnnxNetwork(nn.Module):
    """An ONNX file in the place of a network: what evaluates networks evaluates it.

    Parameters
    ----------
    file
        That :func:`export_onnx` wrote.
    max_length
        Newest interactions that it looks at.
    threads
        Of onnxruntime.

    Raises
    ------
    UserError
        onnxruntime is not installed, or does not take the file.
    """

    def __init__(self, file: str | Path, max_length: int, threads: int = 1) -> None:
        super().__init__()
        need_onnx()
        import onnxruntime  # an extra, which may not be installed

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self.max_length = max_length
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own, of many classes
            raise UserError(f"onnxruntime does not take {file}: {error}") from None

    def forward(self, ids: Tensor) -> Tensor:
        """Scores ``[B, n_items + 1]`` of item numbers ``[B, N]``."""
        return torch.from_numpy(self.session.run(None, {"ids": ids.cpu().numpy()})[0])


def export_onnx(network: EASRecNetwork, path: str | Path, dataset: Dataset | None = None) -> ExportedOnnx:
    """Write a network as an ONNX file for any number of users and any length of history.

    The file is compared with torch, within :data:`TOLERANCE`, on random histories with padding at either side and, if
    there is a dataset, on its users. A dataset's item ids go with it, as a JSON list in the order of the item numbers:
    the file's metadata have the list's name (``item_ids``) and SHA-256 (``item_ids_sha256``), and the dataset's name
    and fingerprint.

    Parameters
    ----------
    network
        A network of one architecture.
    path
        File to write.
    dataset
        Whose test users' histories are compared, and whose item ids are written.

    Raises
    ------
    UserError
        A package is missing, the network is a supernet or too large, the file cannot be written, or its scores differ
        from torch's. Nothing is written then.
    """
    need_onnx()
    if not network.config.is_fixed:
        raise UserError("this is a supernet: export the network of one architecture (freeze, or a retrained folder)")
    if sum(weight.numel() * weight.element_size() for weight in network.state_dict().values()) > LARGEST_WEIGHTS:
        raise UserError("the weights are larger than 2 GB, which an ONNX file cannot hold")
    was_training = network.training
    network.eval()
    try:
        with replacing(Path(path)) as temporary:
            program, table = _program(network), items_name(Path(path))
            text = None if dataset is None else json.dumps([None, *dataset.item_ids[1:].tolist()]) + "\n"
            if dataset is not None and text is not None:
                digest = hashlib.sha256(text.encode()).hexdigest()
                described = {"dataset": dataset.name, "dataset_fingerprint": dataset.fingerprint}
                program.model.metadata_props.update({"item_ids": table.name, "item_ids_sha256": digest, **described})
            program.save(str(temporary))
            difference, histories = _compare(network, temporary, dataset)
            if not difference <= TOLERANCE:
                raise UserError(
                    f"the ONNX file's scores differ from torch's by {difference:.2g}, more than {TOLERANCE:g}: nothing "
                    "was written; please report the architecture.json"
                )
            if text is not None:
                write_text(table, text)
    finally:
        network.train(was_training)
    return ExportedOnnx(Path(path), OPSET, difference, histories, None if text is None else table)


def _program(network: EASRecNetwork) -> Any:
    dynamic = {"ids": {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}}
    with without_notes():
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
def without_notes() -> Iterator[None]:
    """Without the notes of exporter, optimiser and quantiser on packages that are not needed, and on their insides."""
    level = logging.root.manager.disable
    logging.disable(max(level, logging.WARNING))  # their loggers are many: torch.onnx, onnxscript, onnx_ir, the root
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
        found = exported(ids)
        if found.shape != expected.shape:
            raise UserError(f"the ONNX file gives {list(found.shape)} scores instead of {list(expected.shape)}")
        # Of NaN, max() would not tell.
        worst = max(worst, float(np.nan_to_num((found - expected)[:, 1:].abs().max().numpy(), nan=np.inf)))
        histories += len(ids)
    return worst, histories


def _random_histories(n_items: int) -> Iterator[Tensor]:
    """Histories of several shapes: the first has padding at the left, the last at the right, the second alone."""
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
