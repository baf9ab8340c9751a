"""8-bit quantisation of an ONNX file, with the measured loss of accuracy."""

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
from easrec_nni.serving.onnx_export import OnnxNetwork, need_onnx, silence_onnx

__all__ = ["QuantisedOnnx", "int8_names", "quantise_onnx"]


@dataclass(frozen=True)
class QuantisedOnnx:
    """Result of a quantisation.

    Attributes
    ----------
    file, report
        8-bit ONNX file, and JSON file of its figures.
    figures
        Contents of the JSON file: metrics (``float32``, ``int8``), their ``difference``, and both files' ``bytes``.
    """

    file: Path
    report: Path
    figures: dict[str, Any]


def int8_names(file: Path) -> tuple[Path, Path]:
    """Paths of the 8-bit version and of its figures, beside an ONNX file.

    Examples
    --------
    >>> [str(path) for path in int8_names(Path("out/network.onnx"))]
    ['out/network.int8.onnx', 'out/network.int8.json']
    """
    return file.with_name(f"{file.stem}.int8.onnx"), file.with_name(f"{file.stem}.int8.json")


def quantise_onnx(file: str | Path, dataset: Dataset, max_length: int, part: str = "test") -> QuantisedOnnx:
    """Quantise an ONNX file to 8 bits and measure both files' accuracy on a dataset.

    This is onnxruntime's dynamic quantisation: dense layers and the item embedding have one scale per channel, and
    activations are quantised at run time. Weights use 7 of the 8 bits, as processors without VNNI would overflow
    otherwise; so the figures are the same on every machine.

    Parameters
    ----------
    file
        File written by :func:`~easrec_nni.serving.onnx_export.export_onnx`.
    dataset
        Dataset to measure accuracy on, with all protocols of :data:`~easrec_nni.evaluation.ranking.PROTOCOLS`.
    max_length
        Number of newest interactions that the network uses.
    part
        ``valid`` or ``test``.

    Raises
    ------
    UserError
        A package is missing, or a file cannot be read or written.
    """
    need_onnx()
    source = Path(file)
    target, report = int8_names(source)
    with tempfile.TemporaryDirectory() as folder:
        quantised = Path(folder) / target.name
        _quantise(source, quantised)
        figures: dict[str, Any] = {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "part": part}
        for name, onnx_file in (("float32", source), ("int8", quantised)):
            figures[name], _ = evaluate_fully(OnnxNetwork(onnx_file, max_length), dataset, part, 10, PROTOCOLS)
        figures["difference"] = {name: figures["int8"][name] - value for name, value in figures["float32"].items()}
        figures["bytes"] = {"float32": source.stat().st_size, "int8": quantised.stat().st_size}
        atomic_copy(quantised, target)
    write_text(report, json.dumps(figures, indent=2, allow_nan=False) + "\n")
    return QuantisedOnnx(target, report, figures)


def _quantise(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic  # optional dependency

    with silence_onnx():
        try:
            quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
        except Exception as error:  # onnx and onnxruntime raise many classes
            raise UserError(
                f"{source} cannot be quantised ({error}): give a file that `easrec export --onnx` wrote"
            ) from None
