"""TensorBoard files of a trial, which NNI's web UI opens for the selected trials."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.utils.tensorboard import SummaryWriter

    from easrec_nni.architecture.document import Architecture

__all__ = ["TensorBoardLog", "network_image", "tag_of"]

_TAGS = {
    "train_loss": "loss/train",
    "architecture_loss": "loss/architecture",
    "constraint": "loss/constraint",
    "warmup": "search/warm-up",
    "temperature": "search/tau",
    "depth": "search/depth L_t",
    "hidden_pruning": "search/hidden pruning",
    "inner_pruning": "search/inner pruning",
    "expected_cost": "cost/expected",
    "argmax_cost": "cost/argmax network",
    "multiplier": "cost/multiplier of the budget",
    "entropy_pruning": "search/entropy of alpha",
    "entropy_depth": "search/entropy of beta",
    "reward": "search/reward of the candidate",
    "seconds": "time/seconds",
}
_OPTIONS = {
    "alpha_": "alpha/",
    "beta_": "beta/",
    "cross_entropy_alpha_": "cross entropy of widths/",
    "cross_entropy_beta_": "cross entropy of depths/",
    "constraint_alpha_": "charge of widths/",
    "constraint_beta_": "charge of depths/",
}
_logger = logging.getLogger(__name__)


def tag_of(name: str) -> str | None:
    """TensorBoard tag of a history column; None for columns that are not drawn.

    Examples
    --------
    >>> tag_of("ndcg@10_full"), tag_of("alpha_hidden0_inner50"), tag_of("temperature"), tag_of("epoch")
    ('metrics/ndcg@10_full', 'alpha/hidden0_inner50', 'search/tau', None)
    """
    for prefix, group in _OPTIONS.items():
        if name.startswith(prefix):
            return group + name.removeprefix(prefix)
    return f"metrics/{name}" if "@" in name else _TAGS.get(name)


class TensorBoardLog:
    """Event files of a trial: runs ``search`` and ``retrain``, whose curves share their plots.

    It cannot break a trial: a write error is logged once.

    Parameters
    ----------
    folder
        Folder of the runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: dict[str, SummaryWriter] = {}
        self._broken = False

    def epoch(self, phase: str, row: dict[str, float]) -> None:
        """Write the finite figures of an epoch; epoch -1, before the training, has no loss."""
        values = {tag: value for name, value in row.items() if (tag := tag_of(name)) and math.isfinite(value)}

        def write(writer: SummaryWriter) -> None:
            for tag, value in values.items():
                writer.add_scalar(tag, value, int(row["epoch"]))
            writer.flush()  # so that a killed process loses nothing

        self._attempt(phase, write)

    def network(self, architecture: Architecture, step: int = 0) -> None:
        """Write the drawing of an architecture, and its JSON."""

        def write(writer: SummaryWriter) -> None:
            writer.add_image("network", network_image(architecture), step, dataformats="HWC")
            text = architecture.to_json()
            writer.add_text("architecture", "\n".join(f"    {line}" for line in text.splitlines()), step)
            writer.flush()

        self._attempt("search", write)

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    def _attempt(self, run: str, write: Any) -> None:
        if self._broken:
            return
        try:
            if run not in self._writers:
                from torch.utils.tensorboard import SummaryWriter  # takes two seconds to import

                self._writers[run] = SummaryWriter(str(self.folder / run))
            write(self._writers[run])
        except Exception as error:  # full disk, no tensorboard package: the training matters more than its plots
            self._broken = True
            _logger.warning("no more TensorBoard files are written: %s", error)


def network_image(architecture: Architecture) -> NDArray[np.uint8]:
    """Drawing of ``easrec show`` as pixels, ``[height, width, 3]``."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=84, file=nowhere, highlight=False)
        console.print(architecture.model_copy(update={"metrics": {}}).draw())
    lines = console.export_text().rstrip().splitlines()
    size = 9.0  # points; a character is 0.602 times as wide
    figure = Figure(figsize=(84 * size * 0.602 / 72, (len(lines) + 1) * size * 1.2 / 72), dpi=110)
    canvas = FigureCanvasAgg(figure)
    figure.text(0.01, 0.995, "\n".join(lines), family="DejaVu Sans Mono", size=size, va="top", linespacing=1.02)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # [height, width, 3], without alpha
