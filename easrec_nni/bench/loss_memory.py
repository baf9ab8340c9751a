"""Memory of a training step by the number of items, for every loss.

Each loss and catalogue size is measured in a separate process, which trains a small network on random sequences.
Training memory has two parts:

* persistent, which necessarily grows with the catalogue and is counted: weights, their gradients, and Adam's two
  moments, together four times the bytes of the weights;
* transient, on top of that at the peak of a step: scores, activations, and temporary gradients, as torch's profiler
  counts them (``transient_bytes``) and as the process's resident memory shows them (``training_memory_bytes``).

A line fitted to the figures gives their growth in bytes per item. Divided by the 4 d bytes of an item's vector, it is
the number of temporary copies of the item table. (With the full softmax, the table's gradient has two parts, from the
input embeddings and from the scores, and torch adds two dense matrices; with negatives the second one is sparse.)
Divided by 4 bytes per position, it is the share of the positions × items scores held at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.point import measure_training
from easrec_nni.common.markdown import markdown_table
from easrec_nni.common.readable import readable_bytes
from easrec_nni.training.losses import LOSSES

__all__ = ["MEASUREMENT", "growth", "small_network"]

CATALOGUES, QUICK_CATALOGUES = (3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000), (300, 600)
HIDDEN, LENGTH = 64, 200
SEQUENCES, QUICK_SEQUENCES = 32, 2
NEGATIVES = 256
GROWING = ("transient_bytes", "training_memory_bytes")


def small_network(n_items: int, hidden: int = HIDDEN, length: int = LENGTH) -> dict[str, Any]:
    """Configuration of a fixed one-layer network, whose weights are mostly item embeddings."""
    fixed = {"hidden_pruning": (0.0,), "inner_pruning": (0.0,), "layers": 1, "min_depth": 1}
    return {"n_items": n_items, "max_length": length, "hidden": hidden, "inner": 2 * hidden, "heads": 2, **fixed}


def growth(rows: Sequence[Figures], figure: str, hidden: int, positions: int) -> Figures:
    """Least-squares growth of a figure per item, and the ratio of largest to smallest catalogue.

    Parameters
    ----------
    rows
        Rows with ``n_items`` and the figure, smallest catalogue first.
    figure
        Key of the figure in the rows, a number of bytes.
    hidden
        Hidden width d of the network.
    positions
        Positions in a training step.
    """
    items, values = [row["n_items"] for row in rows], [row[figure] for row in rows]
    bytes_per_item, intercept = (float(value) for value in np.polyfit(items, values, 1))
    return {
        "bytes_per_item": bytes_per_item,
        "intercept_bytes": intercept,
        "copies_of_the_item_table": bytes_per_item / (4 * hidden),
        "share_of_positions_times_items": bytes_per_item / (4 * positions),
        "largest_by_smallest": values[-1] / values[0] if values[0] else None,
    }


def _measure(bench: Bench) -> Figures:
    quick = bench.request.quick
    sequences = QUICK_SEQUENCES if quick else SEQUENCES
    losses: Figures = {}
    for name in LOSSES:
        rows = [
            {"n_items": n_items}
            | bench.in_own_process(
                measure_training,
                config=small_network(n_items),
                sequences=sequences,
                positions=LENGTH,
                repeats=bench.repeats,
                loss=name,
                negatives=NEGATIVES,
            )
            for n_items in (QUICK_CATALOGUES if quick else CATALOGUES)
        ]
        grown = {figure: growth(rows, figure, HIDDEN, sequences * LENGTH) for figure in GROWING}
        losses[name] = {"growth": grown, "rows": rows}
    return {"positions": sequences * LENGTH, "hidden": HIDDEN, "negatives": NEGATIVES, "losses": losses}


def _table(figures: Figures) -> list[str]:
    """Markdown table: transient memory by loss and catalogue, copies of the item table."""
    catalogues = [row["n_items"] for row in next(iter(figures["losses"].values()))["rows"]]
    headings = ["loss", *(f"{n_items:,} items" for n_items in catalogues), "copies of the item table"]
    rows = []
    for name, loss in figures["losses"].items():
        copies = loss["growth"]["transient_bytes"]["copies_of_the_item_table"]
        rows.append([name, *(readable_bytes(row["transient_bytes"]) for row in loss["rows"]), f"{copies:.2f}"])
    return [
        f"Allocated at once in a step of {figures['positions']:,} positions, d = {figures['hidden']}, "
        "beyond the weights, their gradients and Adam's moments:",
        "",
        *markdown_table(headings, rows).splitlines(),
    ]


MEASUREMENT = Measurement(
    "loss-memory",
    "memory of a training step by the number of items, for every loss",
    _measure,
    _table,
    needs_dataset=False,
    by_default=False,
)
