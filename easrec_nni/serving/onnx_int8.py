"""An ONNX file with its matrices in 8 bits, and what that costs in accuracy."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_copy, write_text
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.ranking import PROTOCOLS
from easrec_nni.evaluation.scoring import evaluate_fully
from easrec_nni.serving.onnx_export import OnnxNetwork, need_onnx, without_notes

__all__ = ["QuantisedOnnx", "int8_names", "quantise_onnx"]


@dataclass(frozen=True)
class QuantisedOnnx:
    """What a quantisation wrote.

    Attributes
    ----------
    file, report
        The 8-bit file, and the JSON file of its figures.
    figures
        The JSON's contents: metrics of both files (``float32``, ``int8``), their ``difference``, ``bytes`` of both.
    """

    file: Path
    report: Path
    figures: dict[str, Any]


def int8_names(file: Path) -> tuple[Path, Path]:
    """Names beside an ONNX file of its 8-bit version and of the figures.

    Examples
    --------
    >>> [str(path) for path in int8_names(Path("out/network.onnx"))]
    ['out/network.int8.onnx', 'out/network.int8.json']
    """
    return file.with_name(f"{file.stem}.int8.onnx"), file.with_name(f"{file.stem}.int8.json")


def quantise_onnx(file: str | Path, dataset: Dataset, max_length: int, part: str = "test") -> QuantisedOnnx:
    """Write the 8-bit version of an ONNX file, and both files' accuracy on a dataset.

    Quantisation is onnxruntime's dynamic one: weights of dense layers and the item embedding have a scale per channel,
    activations are rounded as they come. Weights take 7 of the 8 bits, because processors without VNNI would overflow
    otherwise; the figures are then the same everywhere.

    Parameters
    ----------
    file
        That :func:`~easrec_nni.serving.onnx_export.export_onnx` wrote.
    dataset
        What accuracy is measured on, with all protocols of :data:`~easrec_nni.evaluation.ranking.PROTOCOLS`.
    max_length
        Newest interactions that the network looks at.
    part
        ``valid`` or ``test``.

    Raises
    ------
    UserError
        A package is missing, or a file cannot be read or written.
    """
    need_onnx()
    whole = Path(file)
    target, report = int8_names(whole)
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / target.name
        _quantise(whole, small)
        figures: dict[str, Any] = {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "part": part}
        for name, each in (("float32", whole), ("int8", small)):
            figures[name], _ = evaluate_fully(OnnxNetwork(each, max_length), dataset, part, 10, PROTOCOLS)
        figures["difference"] = {name: figures["int8"][name] - value for name, value in figures["float32"].items()}
        figures["bytes"] = {"float32": whole.stat().st_size, "int8": small.stat().st_size}
        atomic_copy(small, target)
    write_text(report, json.dumps(figures, indent=2, allow_nan=False) + "\n")
    return QuantisedOnnx(target, report, figures)


def _quantise(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic  # an extra, which may not be installed

    with without_notes():
        try:
            quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
        except Exception as error:  # onnx's and onnxruntime's own, of many classes
            raise UserError(
                f"{source} cannot be quantised ({error}): give a file that `easrec export --onnx` wrote"
            ) from None
