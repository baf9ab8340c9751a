"""Latency, throughput, size and accuracy of ONNX files, compared with torch.

Each network scores the test users of its dataset in three forms: in torch, as an ONNX file, and as that file quantised
to 8 bits, both under onnxruntime; the three are measured in alternation. Networks are those that ``--run`` names,
folders of ``easrec retrain``; without any, networks with fresh weights, whose accuracy is meaningless and left out.
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
from easrec_nni.bench.tables import format_figure
from easrec_nni.common.markdown import markdown_table
from easrec_nni.common.readable import readable_bytes
from easrec_nni.common.run_files import WEIGHTS_FILE
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
    """Figures of a network in its three forms."""
    length, threads = network.config.max_length, bench.request.threads
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS_FILE
        save_weights(network.state_dict(), weights)
        begin = time.perf_counter()
        float32 = export_onnx(network, Path(folder) / "network.onnx", dataset)
        seconds = time.perf_counter() - begin
        int8 = quantise_onnx(float32.file, dataset, length)
        files = {"torch_float32": weights, "onnx_float32": float32.file, "onnx_int8": int8.file}
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
        "test_users": dataset.split.test.n_users,
        "max_length": length,
        "opset": float32.opset,
        "export_seconds": seconds,
        "largest_difference_of_scores": float32.difference,
        "forms": forms,
    }


def _table(figures: Figures) -> list[str]:
    headings = ["network", "form", "size", "ms for one user", f"ms a user in batches of {BATCHES[0]}"]
    rows = []
    for row in figures["rows"]:
        for form, measured in row["forms"].items():
            metrics = measured.get("metrics")
            times = [format_figure(measured[f"ms_per_user_batch{size}"]) for size in (1, *BATCHES)]
            accuracy = f"{metrics['ndcg@10_full']:.4f} / {metrics['ndcg@10_pop100']:.4f}" if metrics else "–"
            rows.append([row["network"], form.replace("_", ", "), readable_bytes(measured["bytes"]), *times, accuracy])
    right = [False, False, True, True, True, True]
    return markdown_table([*headings, "test NDCG@10 full / pop100"], rows, right).splitlines()


MEASUREMENT = Measurement(
    "onnx",
    "the network in torch, as an ONNX file and as one in 8 bits, in alternation",
    _measure,
    _table,
    check=need_onnx,
)
