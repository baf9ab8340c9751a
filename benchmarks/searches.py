"""Searches of several strategies with several seeds, without retraining, for ``easrec table regret`` and ``pareto``.

A study file is that of benchmarks/recipe.py: ``settings`` of a trial, and under ``changes``, by name, what each search
replaces in them. ``--set`` replaces settings of the file for all of its searches, such as the budget; what a search
replaces itself stays.

    python benchmarks/searches.py benchmarks/settings/searches-beauty.yml --seeds 0 5 --set search.budget=35%
    easrec table regret benchmarks/results/table-beauty/table.json runs/searches/*/seed*

Searches lie under --runs; what is complete there is not done again, and what was cut short goes on. Of a finished
search the supernet and the checkpoints are deleted, which take most of the space.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path

from benchmarks.recipe import BASE, folder_of, read_study
from easrec_nni.searching.stage import search
from easrec_nni.settings.assignments import read_assignments
from easrec_nni.training.threads import use_threads

KEPT = ("architecture.json", "front.json", "architectures.csv", "history.csv", "request.json")


def main() -> None:
    """Search for what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--only", nargs="+", help="names of searches; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="setting that replaces the file's")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "searches")
    parser.add_argument("--keep", action="store_true", help="keep supernets and checkpoints")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings, changes = read_study(options.study)
    settings = settings.with_parameters(read_assignments(options.set))
    use_threads(options.threads)
    dataset = settings.dataset()
    names = options.only or [name for name in changes if name != BASE]
    for seed in options.seeds:
        for name in names:
            folder = folder_of(options.runs, name, seed)
            logging.info("%s, seed %d", name, seed)
            search(dataset, settings.with_parameters({**changes[name].settings, "seed": seed}), folder)
            if not options.keep:
                clear(folder)


def clear(folder: Path) -> None:
    """Delete the weights of a finished search."""
    for file in folder.rglob("*"):
        if file.is_file() and file.name not in KEPT:
            file.unlink()


if __name__ == "__main__":
    main()
