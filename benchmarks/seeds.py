"""Is the searched network worth it? Searched against unpruned, over several seeds, with equal loss, mode and budget.

For every seed: a search; the architecture that it found, retrained from inherited and from fresh weights; the unpruned
network of all layers from fresh weights. All retrainings have the same settings, and stop early on the same users.

    python benchmarks/seeds.py examples/settings/ml100k.yml --seeds 3 --out benchmarks/results/ml100k-seeds.json

Runs lie under --runs; what is complete there is not done again.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import warnings
from pathlib import Path
from typing import Any

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.files import write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.data import Dataset, load_dataset
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.report.comparison import ComparisonRow, comparison_markdown
from easrec_nni.retraining.stage import retrain
from easrec_nni.searching.stage import search
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.systems.popularity import Popularity
from easrec_nni.training.threads import use_threads

SHOWN = ("ndcg@10_full", "recall@10_full", "mrr@10_full", "ndcg@10_pop100", "recall@10_pop100", "mrr@10_pop100")


def one_seed(dataset: Dataset, settings: TrialSettings, folder: Path) -> dict[str, dict[str, Any]]:
    """Metrics of the three networks by name."""
    found = search(dataset, settings, folder / "search")
    unpruned = Architecture(choices=found.architecture.space.largest, space=found.architecture.space)
    runs = {
        "searched, inherited": (found.architecture, found.supernet),
        "searched, scratch": (found.architecture, None),
        "unpruned, scratch": (unpruned, None),
    }
    return {
        name: retrain(
            architecture, dataset, folder / name.replace(", ", "-"), weights=weights, settings=settings
        ).metrics
        for name, (architecture, weights) in runs.items()
    }


def summary(runs: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Mean and sample standard deviation over seeds by network and test figure, and the cost."""
    result: dict[str, dict[str, Any]] = {}
    for name in runs[0]:
        figures = {key: [run[name]["test"][key] for run in runs] for key in SHOWN}
        costs = {key: [run[name]["cost"][key] for run in runs] for key in ("madds_per_user", "executed_madds_per_user")}
        costs["parameters"] = [run[name]["cost"]["parameters"] for run in runs]
        costs["inference_ms_per_user"] = [run[name]["inference"]["inference_ms_per_user"] for run in runs]
        result[name] = {
            key: {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}
            for key, values in {**figures, **costs}.items()
        }
        result[name]["choices"] = [run[name]["choices"] for run in runs]
    return result


def main() -> None:
    """Run, print the table of means, write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs") / "seeds")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    use_threads(options.threads)
    base = TrialSettings.read(options.settings)
    dataset = load_dataset(base.data)
    runs = []
    for seed in range(options.seeds):
        logging.info("seed %d", seed)
        runs.append(one_seed(dataset, base.with_parameters({"seed": seed}), options.runs / str(seed)))
    networks = summary(runs)
    floor = evaluate(Popularity(dataset), dataset, "test")
    rows = [ComparisonRow(name, {k: v["mean"] for k, v in f.items() if k != "choices"}) for name, f in networks.items()]
    print(comparison_markdown([*rows, ComparisonRow("popularity", floor)]))
    spread = max(networks[name]["ndcg@10_full"]["sd"] for name in networks)
    share = networks["searched, inherited"]["madds_per_user"]["mean"]
    share /= networks["unpruned, scratch"]["madds_per_user"]["mean"]
    print(f"searched / unpruned multiply-adds: {share:.3f}; spread of NDCG@10 over seeds (largest sd): {spread:.4f}")
    write_json(
        options.out,
        {
            "settings": base.model_dump(mode="json", by_alias=True),
            "seeds": options.seeds,
            "networks": networks,
            "popularity": floor,
            "share_of_unpruned_madds": share,
            "per_seed": [{name: metrics["test"] for name, metrics in run.items()} for run in runs],
            "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
            **provenance(),
        },
    )


if __name__ == "__main__":
    main()
