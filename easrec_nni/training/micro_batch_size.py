"""Micro-batch size in positions: by rule, fixed, or measured on this machine.

It changes the result of a step only by rounding, and by the order of dropout draws. The rule is the default: the same
settings then give the same weights on every machine. Measuring suits machines that the rule was not tuned for; the
measured size is in the results (``training.micro_batch``), so that a fixed size can reproduce it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.micro_batches import CACHED_VALUES, leaves_of, loss_in_parts, parts_of

__all__ = ["MicroBatchSize", "seconds_by_positions"]

# Measured sizes, as multiples of the rule's size.
FACTORS = (0.25, 0.5, 1, 2, 4, 8)
REPEATS = 2

LossOf = Callable[[TrainingBatch], Tensor]

_logger = logging.getLogger(__name__)


def seconds_by_positions(loss_of: LossOf, batch: TrainingBatch, width: int, repeats: int = REPEATS) -> dict[int, float]:
    """Duration of a batch's forward and backward pass, by positions per part.

    Parameters
    ----------
    loss_of
        Function that returns the mean loss of a part over its targets.
    batch
        Sequences padded on the left.
    width
        Width of the widest activation, the larger of d and D.
    repeats
        Number of timed rounds over all sizes, after a warm-up round; the minimum counts, since other load only adds.

    Returns
    -------
    dict
        Seconds by positions, in ascending order; at most eight times the rule's size, to limit memory. Gradients and
        random state are unchanged.
    """
    sizes = sorted({min(batch.ids.numel(), max(1, int(CACHED_VALUES // width * factor))) for factor in FACTORS})
    seconds = {size: float("inf") for size in sizes}
    devices = [batch.ids.device] if batch.ids.is_cuda else []
    for turn in range(repeats + 1):
        for size in sizes:
            with torch.random.fork_rng(devices):
                begin = time.perf_counter()
                loss = loss_in_parts(loss_of, parts_of(batch, width, size))
                torch.autograd.grad(loss, leaves_of(loss), retain_graph=True)  # all steps share drawn weights
                if devices:
                    torch.cuda.synchronize()
            if turn:
                seconds[size] = min(seconds[size], time.perf_counter() - begin)
    return seconds


class MicroBatchSize:
    """Micro-batch size as the settings request it.

    Parameters
    ----------
    wanted
        ``rule``; ``measured`` (on the first batch that the rule would split); or a number of positions.

    Attributes
    ----------
    seconds
        Measured seconds by positions; None before the measurement.
    """

    def __init__(self, wanted: Literal["rule", "measured"] | int = "rule") -> None:
        self.wanted = wanted
        self.seconds: dict[int, float] | None = None

    def positions(self, loss_of: LossOf, batch: TrainingBatch, width: int) -> int | None:
        """Argument ``positions`` of :func:`~easrec_nni.training.micro_batches.parts_of`.

        Parameters
        ----------
        loss_of, batch, width
            As in :func:`seconds_by_positions`.
        """
        if isinstance(self.wanted, int):
            return self.wanted
        if self.wanted == "rule":
            return None
        if self.seconds is None and batch.ids.numel() > CACHED_VALUES // width:
            self.seconds = seconds_by_positions(loss_of, batch, width)
            _logger.info("micro-batches of %d positions are the fastest here: %s", self.fastest, self._table())
        return self.fastest

    @property
    def fastest(self) -> int | None:
        """Fastest measured size; None without a measurement."""
        return min(self.seconds, key=self.seconds.__getitem__) if self.seconds else None

    def _table(self) -> str:
        return ", ".join(f"{size}: {value:.3f} s" for size, value in (self.seconds or {}).items())

    def as_dict(self) -> dict[str, Any]:
        """Entry for the results: requested size and, if measured, the measurement."""
        if self.seconds is None:
            return {"wanted": self.wanted}
        return {
            "wanted": self.wanted,
            "positions": self.fastest,
            "seconds_by_positions": {str(size): value for size, value in self.seconds.items()},
        }
