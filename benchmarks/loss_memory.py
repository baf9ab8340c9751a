"""Memory of a training step against the number of items, for every loss.

    python benchmarks/loss_memory.py --out loss-memory.json

Each loss and catalogue has a process of its own, which takes three steps of Adam on a small network with random
sequences. Two figures of each:

* what must grow with the catalogue, and is counted: weights, their gradients, and Adam's two moments, four times the
  bytes of the weights;
* what comes on top at the peak of a step: scores, activations, and temporary gradients. Of these, torch's profiler
  tells the bytes that the third step had allocated at once beyond what was there before it and the gradients that
  stay (``transient_bytes``), and Linux the process's largest resident memory beyond the program's own and the counted
  (``resident_beyond_bytes``).

A line through the figures gives their growth in bytes for each item. Divided by the 4 d bytes of an item's vector that
is the number of temporary copies of the item table (with the full softmax its gradient comes once from where items are
read and once from where they are scored, and torch adds two dense matrices up; with negatives the second one is
sparse); divided by 4 bytes for each position it is the share of the positions × items scores that were held at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from easrec_nni.bench.machine import allocator_environment, describe_machine, load_average
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.common.files import write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.losses import LOSSES, draw_negatives, make_loss, next_item_loss
from easrec_nni.training.threads import use_threads
from easrec_nni.training.trainer import seed_everything
from search_spaces import EASRecSpace, SpaceConfig

CATALOGUES = (3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
Figures = dict[str, Any]


def random_batch(n_items: int, options: argparse.Namespace) -> TrainingBatch:
    """Sequences without padding, so that every position has a target."""
    pieces = torch.randint(1, n_items + 1, (options.batch_size, options.length + 1))
    return TrainingBatch(pieces[:, :-1], pieces[:, 1:], draw_negatives(n_items, options.negatives, 0))


def largest_sum(recorded: profile) -> int:
    """Largest number of bytes that were allocated at once since the recording began."""
    changes = [
        (event.start_ns(), event.nbytes())
        for event in recorded.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    return int(np.cumsum([change for _, change in sorted(changes, key=lambda change: change[0])]).max())


def measure(name: str, n_items: int, options: argparse.Namespace) -> Figures:
    """Three steps in this process."""
    use_threads(options.threads)
    seed_everything(0)
    resident = peak_memory_bytes()
    config = SpaceConfig(
        n_items=n_items, max_length=options.length, hidden=options.hidden, inner=2 * options.hidden, heads=2, layers=1
    )
    network = EASRecSpace(config.compact(config.largest)).train()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    loss, batch = make_loss(name, n_items), random_batch(n_items, options)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        optimizer.zero_grad()
        next_item_loss(network, batch, loss).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    peak = peak_memory_bytes()
    weights = sum(weight.numel() * weight.element_size() for weight in network.parameters())
    optimizer.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        next_item_loss(network, batch, loss).backward()
    return {
        "loss": name,
        "n_items": n_items,
        "counted_bytes": 4 * weights,
        "transient_bytes": largest_sum(recorded) - weights,
        "resident_beyond_bytes": peak - resident - 4 * weights,
        "seconds_of_a_step": min(seconds),
    }


def growth(rows: list[Figures], figure: str, options: argparse.Namespace) -> Figures:
    """Least-squares line through a figure, and how many times it grew from the smallest to the largest catalogue."""
    items, values = [row["n_items"] for row in rows], [row[figure] for row in rows]
    bytes_per_item, intercept = np.polyfit(items, values, 1)
    return {
        "bytes_per_item": float(bytes_per_item),
        "intercept_bytes": float(intercept),
        "copies_of_the_item_table": float(bytes_per_item / (4 * options.hidden)),
        "share_of_positions_times_items": float(bytes_per_item / (4 * options.batch_size * options.length)),
        "largest_by_smallest": values[-1] / values[0],
    }


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--items", type=int, nargs="+", default=list(CATALOGUES), help="sizes of the catalogue")
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=list(LOSSES))
    parser.add_argument("--batch-size", type=int, default=32, help="sequences")
    parser.add_argument("--length", type=int, default=200, help="items of each")
    parser.add_argument("--hidden", type=int, default=64, help="d")
    parser.add_argument("--negatives", type=int, default=256)
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", 1)))
    parser.add_argument("--one", nargs=2, metavar=("LOSS", "ITEMS"), help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.one is None and options.out is None:
        parser.error("--out is missing")
    return options


def in_own_process(name: str, n_items: int, options: argparse.Namespace) -> Figures:
    """Figures from a process that runs this file with ``--one``."""
    words = ["--batch-size", options.batch_size, "--length", options.length, "--hidden", options.hidden]
    words += ["--negatives", options.negatives, "--threads", options.threads, "--one", name, n_items]
    environment = allocator_environment("default") | {"OMP_NUM_THREADS": str(options.threads)}
    command = [sys.executable, __file__, *map(str, words)]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment).stdout
    figures: Figures = json.loads(output.splitlines()[-1])
    mebibytes = {key: f"{figures[key] / 2**20:.0f}" for key in figures if key.endswith("_bytes")}
    print(name, n_items, mebibytes, f"{figures['seconds_of_a_step']:.2f} s", flush=True)
    return figures


def main() -> None:
    """Run all sizes of all losses and write the JSON file."""
    options = options_of()
    warnings.filterwarnings("ignore")
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]), options)))
        return
    rows = {name: [in_own_process(name, n, options) for n in sorted(options.items)] for name in options.losses}
    figures = ("transient_bytes", "resident_beyond_bytes")
    write_json(
        options.out,
        {
            "schema_version": 1,
            "positions": options.batch_size * options.length,
            "hidden": options.hidden,
            "negatives": options.negatives,
            "losses": {
                name: {"growth": {figure: growth(of_loss, figure, options) for figure in figures}, "rows": of_loss}
                for name, of_loss in rows.items()
            },
            "machine": describe_machine(),
            "load_average": load_average(),
            **provenance(),
        },
    )


if __name__ == "__main__":
    main()
