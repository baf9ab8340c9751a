"""ONNX files against torch: latency, throughput, size and accuracy of retrained networks.

    python benchmarks/onnx_files.py demo-results/searched demo-results/unpruned --out benchmarks/results/onnx-files.json

Each folder is one that ``easrec retrain`` wrote. Its network scores the test users of its dataset as torch runs it, as
an ONNX file and as that file in 8 bits, both under onnxruntime; the three take turns, one at a time. Latency is that of
users one by one, without padding; throughput is that of batches. Sizes are those of the files that hold the weights.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from easrec_nni.architecture.run_folder import open_run
from easrec_nni.bench.machine import circumstances, load_average
from easrec_nni.bench.repeats import spread
from easrec_nni.common.files import write_json
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.inference import ScoringTimer
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.serving.onnx_export import OnnxNetwork, export_onnx
from easrec_nni.serving.onnx_int8 import quantise_onnx
from easrec_nni.training.threads import use_threads

Figures = dict[str, Any]


def measure(run: Path, dataset: Dataset, network: Any, options: argparse.Namespace) -> Figures:
    """One folder's figures."""
    length = network.config.max_length
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        whole = export_onnx(network, Path(folder) / "network.onnx", dataset)
        seconds = time.perf_counter() - begin
        small = quantise_onnx(whole.file, dataset, length)
        forms = {
            "torch_float32": (network, run / "weights.safetensors"),
            "onnx_float32": (OnnxNetwork(whole.file, length, options.threads), whole.file),
            "onnx_int8": (OnnxNetwork(small.file, length, options.threads), small.file),
        }
        rows = _times(dataset, length, {name: form for name, (form, _) in forms.items()}, options)
        for name, (form, file) in forms.items():
            rows[name] |= {"bytes": file.stat().st_size, "metrics": evaluate(form, dataset)}
    return {
        "run": str(run),
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "test_users": len(dataset.split.test),
        "max_length": length,
        "opset": whole.opset,
        "export_seconds": seconds,
        "largest_difference_of_scores": whole.difference,
        "forms": rows,
    }


def _times(dataset: Dataset, length: int, forms: dict[str, Any], options: argparse.Namespace) -> dict[str, Figures]:
    timer = ScoringTimer(dataset, length, single_users=options.single_users)
    passes: dict[str, list[float]] = {name: [] for name in forms}
    singles: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(options.turns + 1):
        for name, form in forms.items():
            seconds, milliseconds = timer.pass_seconds(form), statistics.median(timer.latencies_ms(form))
            if turn:  # the first one is the warm-up
                passes[name].append(1000 * seconds / timer.users)
                singles[name].append(milliseconds)
    return {
        name: {
            "inference_ms_per_user": spread(passes[name]),
            "latency_ms_batch1": spread(singles[name]),
            "users_per_second": 1000 / statistics.median(passes[name]),
        }
        for name in forms
    }


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="FOLDER", help="that `easrec retrain` wrote")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--data", help="prepared dataset, by default each folder's")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--single-users", type=int, default=200, help="users that are scored one by one")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", 1)))
    return parser.parse_args(words)


def run(options: argparse.Namespace) -> Figures:
    """Everything that is written."""
    use_threads(options.threads)
    before, rows = load_average(), []
    for folder in options.runs:
        network, dataset = open_run(folder, options.data)
        assert dataset is not None
        rows.append(measure(folder, dataset, network, options))
    return {
        "schema_version": 1,
        "rows": rows,
        "threads": options.threads,
        "order": "in turns, one at a time",
        **circumstances(before),
    }


def main() -> None:
    """Measure and write the JSON file."""
    options = options_of()
    warnings.filterwarnings("ignore")
    document = run(options)
    for row in document["rows"]:
        for name, figures in row["forms"].items():
            print(
                f"{row['run']} {name}: {figures['inference_ms_per_user']['median']:.3f} ms per user in batches, "
                f"{figures['latency_ms_batch1']['median']:.2f} ms alone, {figures['bytes'] / 2**20:.1f} MiB, "
                f"NDCG@10 full {figures['metrics']['ndcg@10_full']:.4f}"
            )
    write_json(options.out, document)


if __name__ == "__main__":
    main()
