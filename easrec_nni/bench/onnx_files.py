"""ONNX files against torch: latency, throughput, size and accuracy.

Each network scores the test users of its dataset as torch runs it, as an ONNX file and as that file in 8 bits, both
under onnxruntime; the three take turns, one at a time. Networks are those that ``--run`` names, folders of
``easrec retrain``; without any, the dataset's with fresh weights, whose accuracy says nothing and is left out.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from easrec_nni.architecture.run_folder import open_run
from easrec_nni.architecture.weights import save_weights
from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.serving import scoring_ms
from easrec_nni.bench.tables import number
from easrec_nni.common.readable import readable_bytes
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.serving.onnx_export import OnnxNetwork, export_onnx, need_onnx
from easrec_nni.serving.onnx_int8 import quantise_onnx
from search_spaces import EASRecNetwork

__all__ = ["MEASUREMENT"]

BATCHES = (64,)


def _measure(bench: Bench) -> Figures:
    if not bench.request.runs:
        return {"rows": [_row(bench, name, network, bench.dataset) for name, network in bench.networks.items()]}
    rows = []
    for run in bench.request.runs:
        network, dataset = open_run(run, bench.dataset)
        assert dataset is not None
        rows.append(_row(bench, run, network, dataset, trained=True))
    return {"rows": rows}


def _row(bench: Bench, name: str, network: EASRecNetwork, dataset: Dataset, trained: bool = False) -> Figures:
    """Figures of a network's three forms."""
    length, threads = network.config.max_length, bench.request.threads
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        save_weights(network.state_dict(), weights)
        begin = time.perf_counter()
        whole = export_onnx(network, Path(folder) / "network.onnx", dataset)
        seconds = time.perf_counter() - begin
        small = quantise_onnx(whole.file, dataset, length)
        files = {"torch_float32": weights, "onnx_float32": whole.file, "onnx_int8": small.file}
        networks: dict[str, Any] = {
            form: network if file == weights else OnnxNetwork(file, length, threads) for form, file in files.items()
        }
        forms = scoring_ms(networks, dataset, length, bench, BATCHES)
        for form, file in files.items():
            forms[form]["bytes"] = file.stat().st_size
            if trained:
                forms[form]["metrics"] = evaluate(networks[form], dataset)
    return {
        "network": name,
        "test_users": len(dataset.split.test),
        "max_length": length,
        "opset": whole.opset,
        "export_seconds": seconds,
        "largest_difference_of_scores": whole.difference,
        "forms": forms,
    }


def _table(figures: Figures) -> list[str]:
    lines = [
        f"| network | form | size | ms for one user | ms a user in batches of {BATCHES[0]} "
        "| test NDCG@10 full / pop100 |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in figures["rows"]:
        for form, found in row["forms"].items():
            metrics = found.get("metrics")
            times = [number(found[f"ms_per_user_batch{size}"]) for size in (1, *BATCHES)]
            accuracy = f"{metrics['ndcg@10_full']:.4f} / {metrics['ndcg@10_pop100']:.4f}" if metrics else "–"
            cells = [row["network"], form.replace("_", ", "), readable_bytes(found["bytes"]), *times, accuracy]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


MEASUREMENT = Measurement(
    "onnx",
    "the network in torch, as an ONNX file and as one in 8 bits, in turns",
    _measure,
    _table,
    check=need_onnx,
)
