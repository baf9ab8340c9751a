"""Do data-aware gates help? Fixed networks that differ in their gates alone, over several seeds.

Nothing is searched, so that neither a search's luck nor its constraint stands between the gates and the figures. All
variants have the largest network's widths and layers, fresh weights, the same loss, batches, budget and seeds:

    python benchmarks/gates.py --dataset ml-100k --budget small --seeds 5 --out benchmarks/results/gates-ml-100k.json

Runs lie under --runs; what is complete there is not done again. Differences are those to the network without gates,
seed by seed (two-sided paired t-test, Holm's correction over the variants).
"""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path
from typing import Any

from easrec_nni.common.files import write_json
from easrec_nni.common.provenance import provenance
from easrec_nni.data import load_dataset
from easrec_nni.report.significance import holm, paired_test, summarise
from easrec_nni.study.budgets import BUDGETS, with_budget
from easrec_nni.study.cell import run_cell
from easrec_nni.study.cells import Cell
from easrec_nni.study.reproduce import settings_for
from easrec_nni.training.threads import use_threads

VARIANTS: dict[str, dict[str, Any]] = {
    "no gates": {"space.gate_layers": 0},
    "2 layers, gamma 2, from layer 2 (the paper)": {},
    "1 layer, gamma 2, from layer 2": {"space.gate_layers": 1},
    "2 layers, gamma 2, from layer 1": {"space.gates_from": 1},
    "2 layers, gamma 1, from layer 2": {"space.gate_scale": 1.0},
    "2 layers, gamma 4, from layer 2": {"space.gate_scale": 4.0},
}
REFERENCE = "no gates"
SHOWN = ("ndcg@10_full", "ndcg@10_pop100", "recall@10_full", "recall@10_pop100")


def figures_of(result: dict[str, Any]) -> dict[str, float]:
    """What is compared: accuracy on both parts, and the multiply-adds."""
    figures = {f"{part}_{name}": result[part][name] for part in ("valid", "test") for name in SHOWN}
    return {**figures, "madds_per_user": result["cost"]["madds_per_user"]}


def summary(runs: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation and difference to the reference by variant and figure."""
    document: dict[str, dict[str, Any]] = {variant: {} for variant in runs}
    for name in runs[REFERENCE][0]:
        values = {variant: [figures[name] for figures in own] for variant, own in runs.items()}
        tests = {}
        for variant, own in values.items():
            known = summarise(own)
            document[variant][name] = {"mean": known.mean, "sd": known.sd}
            if variant != REFERENCE and "@" in name and known.n > 1:
                tests[variant] = paired_test(own, values[REFERENCE])
        corrected = holm([test.p_value for test in tests.values()])
        for (variant, test), p in zip(tests.items(), corrected, strict=True):
            document[variant][name] |= {"difference": test.difference, "p": test.p_value, "p_holm": p}
    return document


def read_options() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--budget", default="small", choices=list(BUDGETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/gates"))
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Run what is missing; write the document after every round of seeds."""
    options = read_options()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.filterwarnings("ignore")
    threads = use_threads(None)
    settings = with_budget(settings_for(load_dataset(options.dataset), None), options.budget)
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for seed in range(options.seeds):
        for variant, changes in VARIANTS.items():
            cell = Cell("unpruned", seed, changes)
            result = run_cell(cell, settings, options.runs / options.dataset / cell.path)
            runs[variant].append(figures_of(result))
            logging.info("%s, seed %d: %s", variant, seed, runs[variant][-1])
        document = {
            "dataset": options.dataset,
            "budget": options.budget,
            "seeds": seed + 1,
            "threads": threads,
            "reference": REFERENCE,
            "variants": summary(runs),
            "runs": runs,
        }
        write_json(options.out, document | provenance())


if __name__ == "__main__":
    main()
