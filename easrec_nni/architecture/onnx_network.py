"""ONNX files as networks, run by onnxruntime."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from easrec_nni.common.errors import UserError

__all__ = ["OnnxNetwork", "need_packages"]


def need_packages(packages: Sequence[str]) -> None:
    """Check that packages of the ``onnx`` extra are installed.

    Raises
    ------
    UserError
        A package is missing; the message says how to install it.
    """
    for name in packages:
        try:
            importlib.import_module(name)
        except ImportError:
            raise UserError(f"ONNX needs the package {name}: pip install 'easrec-nni[onnx]'") from None


class OnnxNetwork(nn.Module):
    """ONNX file as a network module, for the evaluation functions.

    Parameters
    ----------
    file
        File with one input, item numbers ``[B, N]``, and scores as its first output.
    max_length
        Number of newest interactions that the network uses.
    threads
        Number of onnxruntime's threads.

    Raises
    ------
    UserError
        onnxruntime is not installed or cannot load the file.
    """

    def __init__(self, file: str | Path, max_length: int, threads: int = 1) -> None:
        super().__init__()
        need_packages(["onnxruntime"])
        import onnxruntime  # optional dependency

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self.max_length = max_length
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many classes
            raise UserError(f"onnxruntime cannot load {file}: {error}") from None
        self.input = self.session.get_inputs()[0].name

    def forward(self, ids: Tensor) -> Tensor:
        """Scores ``[B, n_items + 1]`` of item numbers ``[B, N]``."""
        return torch.from_numpy(self.session.run(None, {self.input: ids.cpu().numpy()})[0])
