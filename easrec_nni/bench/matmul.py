"""Peak multiply-adds per second of plain matrix products on this machine."""

from __future__ import annotations

import torch

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.repeats import repeated, seconds_of

__all__ = ["MEASUREMENT", "matmul_peak"]

# Rows, inner dimension, columns: a batch of 2,048 histories of 200 times a weight of the paper's size, and squares.
SHAPES = ((409_600, 128, 256), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 4096, 4096))
QUICK_SHAPES = ((4096, 128, 256), (256, 256, 256))


def madds_per_second(rows: int, inner: int, columns: int, repeats: int = 5) -> float:
    """Best of several float32 products ``[rows, inner] · [inner, columns]``, in multiply-adds per second."""
    left, right = torch.randn(rows, inner), torch.randn(inner, columns)
    out = torch.empty(rows, columns)
    seconds = repeated(lambda: seconds_of(lambda: torch.mm(left, right, out=out)), repeats)
    return rows * inner * columns / min(seconds)


def matmul_peak(quick: bool = False, repeats: int = 5) -> dict[str, float]:
    """Multiply-adds per second by shape, and the maximum as ``peak``."""
    shapes = QUICK_SHAPES if quick else SHAPES
    rates = {"x".join(map(str, shape)): madds_per_second(*shape, repeats) for shape in shapes}
    return {**rates, "peak": max(rates.values())}


def _measure(bench: Bench) -> Figures:
    return {"madds_per_second": matmul_peak(bench.request.quick, max(bench.repeats, 5))}


MEASUREMENT = Measurement(
    "matmul", "multiply-adds per second of float32 matrix products, best of several", _measure, needs_dataset=False
)
