"""Time and memory at the scale of the paper's Gowalla, on a synthetic log of that size and shape.

Each step runs in a process of its own, so that its peak of memory is its own:

* prepare: draw, sort, split and write the log, with its negatives,
* search: the first iterations of a search epoch over a shared supernet, with the settings of examples/settings,
* evaluate: rank the test targets of all users among all items, and against pop100's negatives, in one pass.

    python benchmarks/scale.py --out benchmarks/results/scale-synthetic-gowalla.json

A whole search epoch makes 3·10^11 scores of items, which takes too long on one core: a stated number of iterations is
measured, and what an epoch of such iterations would take is given as what it is, an extrapolation. Networks are not
trained before they are evaluated: no accuracy is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from easrec_nni.bench.clock import Clock, First
from easrec_nni.bench.machine import allocator_environment, describe_machine, load_average
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.common.files import write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.data import load_dataset, prepare
from easrec_nni.evaluation.scoring import evaluate_fully, evaluation_batch_size
from easrec_nni.searching.nni_engine import run_strategy
from easrec_nni.searching.one_shot import make_strategy
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.callbacks import EpochOrder
from easrec_nni.training.context import TrialContext
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.threads import use_threads
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import EASRecSpace

NAME = "synthetic-gowalla"
PROTOCOLS = ("full", "pop100")
Figures = dict[str, Any]


def timed(step: Callable[[], Figures]) -> Figures:
    """Figures of a step with its time, and the process's peak of memory before and after it."""
    baseline = peak_memory_bytes()
    begin, processor = time.perf_counter(), time.process_time()
    figures = step()
    return {
        "seconds": time.perf_counter() - begin,
        "processor_seconds": time.process_time() - processor,
        "peak_memory_bytes": peak_memory_bytes(),
        "baseline_peak_memory_bytes": baseline,
        **figures,
    }


def prepare_step(folder: Path) -> Figures:
    dataset = prepare(NAME, folder, force=True)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {**dataset.manifest.counts.model_dump(), "fingerprint": dataset.fingerprint, "bytes_on_disk": size}


def search_step(folder: Path, settings: TrialSettings, iterations: int) -> Figures:
    context = TrialContext.open(settings, load_dataset(folder))
    chosen = settings.search
    seed_everything(settings.seed)
    train = context.training_batches(chosen.batch_size)
    without_warmup = replace(context, settings=settings.with_parameters({"search.warmup_epochs": 0}))
    clock = Clock()
    run_strategy(
        make_strategy(without_warmup, len(train)),
        EASRecSpace(context.space),
        SequenceModule(context.dataset, chosen.learning_rate, loss=context.loss()),
        make_trainer(1, [EpochOrder(), clock], progress=False),
        train_batches=First(train, iterations),
        validation_batches={
            "architecture": context.architecture_batches(),
            "selection": First(context.selection_batches(), 1),
        },
        checkpoint=None,
    )
    measured = {
        f"{name}_per_iteration": clock.seconds(kind) for kind, name in enumerate(("seconds", "processor_seconds"))
    }
    # Batches are of sequences of similar length, in random order: some take ten times as long as others, and so the
    # mean and not the median stands for an epoch.
    means = {f"mean_{name}": statistics.mean(values) for name, values in measured.items()}
    return {
        "measured_iterations": len(clock.readings) - 1,
        "iterations_of_an_epoch": len(train),
        **measured,
        **means,
        "extrapolated_processor_seconds_of_an_epoch": means["mean_processor_seconds_per_iteration"] * len(train),
        "supernet": context.space.supernet,
        "settings": settings.model_dump(mode="json", by_alias=True, exclude={"data", "retrain"}),
    }


def evaluate_step(folder: Path, settings: TrialSettings) -> Figures:
    context = TrialContext.open(settings, load_dataset(folder))
    dataset, config = context.dataset, context.space
    seed_everything(settings.seed)
    network = EASRecSpace(config.compact(config.largest)).eval()
    _, ranks = evaluate_fully(network, dataset, "test", protocols=PROTOCOLS)
    return {
        "users": len(ranks["full"]),
        "items": dataset.n_items,
        "protocols": list(ranks),
        "batch_size": evaluation_batch_size(dataset.n_items),
        "network": {name: getattr(config, name) for name in ("layers", "hidden", "inner", "heads", "max_length")},
    }


def run_step(step: str, options: argparse.Namespace) -> Figures:
    """One step in this process."""
    threads = use_threads(options.threads)
    settings = TrialSettings.read(options.settings).with_parameters({"data": NAME, "space.supernet": "shared"})
    steps: dict[str, Callable[[], Figures]] = {
        "prepare": lambda: prepare_step(options.data),
        "search": lambda: search_step(options.data, settings, options.iterations),
        "evaluate": lambda: evaluate_step(options.data, settings),
    }
    load = load_average()
    return {**timed(steps[step]), "threads": threads, "load_average": {"before": load, "after": load_average()}}


def in_own_process(step: str, options: argparse.Namespace) -> Figures:
    """Figures of a step, from a process that runs this file with ``--step``."""
    words = ["--step", step, "--data", options.data, "--settings", options.settings]
    words += ["--iterations", options.iterations, "--threads", options.threads]
    environment = allocator_environment("default") | {"OMP_NUM_THREADS": str(options.threads)}
    command = [sys.executable, __file__, *map(str, words)]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment).stdout
    figures: Figures = json.loads(output.splitlines()[-1])
    print(f"{step}: {figures['seconds']:.0f} s, of the processor {figures['processor_seconds']:.0f} s, ", end="")
    print(f"peak {figures['peak_memory_bytes'] / 2**20:.0f} MiB", flush=True)
    return figures


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--data", type=Path, help="folder for the dataset; by default one that is removed at the end")
    parser.add_argument("--settings", type=Path, default=Path("examples/settings/gowalla.yml"))
    parser.add_argument("--iterations", type=int, default=30, help="of a search epoch, that are measured")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", 1)))
    parser.add_argument("--step", choices=["prepare", "search", "evaluate"], help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.step is None and options.out is None:
        parser.error("--out is missing")
    return options


def main() -> None:
    """Run all steps and write the JSON file."""
    options = options_of()
    warnings.filterwarnings("ignore")
    if options.step:
        print(json.dumps(run_step(options.step, options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.data = options.data or Path(folder) / NAME
        steps = {step: in_own_process(step, options) for step in ("prepare", "search", "evaluate")}
    write_json(
        options.out,
        {
            "schema_version": 1,
            "dataset": NAME,
            "note": "a random log of the size and shape of the paper's Gowalla; the machine was shared with other "
            "programs, see load_average, so that processor_seconds tell more than seconds",
            "allocator": "default",
            "machine": describe_machine(),
            "steps": steps,
            **provenance(),
        },
    )


if __name__ == "__main__":
    main()
