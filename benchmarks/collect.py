"""Turn the folder of a trial into a result to commit: figures, histories, the command, versions, and a table.

    easrec search examples/settings/ml1m.yml --out runs/ml1m --set …
    python benchmarks/collect.py runs/ml1m --out benchmarks/results/ml1m-trial

Writes OUT.json and OUT.md. Popularity and the unpruned network's cost are added for comparison.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.document import Architecture
from easrec_nni.common.files import write_json, write_text
from easrec_nni.data import load_dataset
from easrec_nni.evaluation.figures import PROTOCOLS
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.report.comparison import ComparisonRow, comparison_markdown, read_run
from easrec_nni.retraining.metrics import read_metrics
from easrec_nni.study.systems.popularity import Popularity
from easrec_nni.training.history import read_history


def _finite(rows: list[dict[str, float]]) -> list[dict[str, float | None]]:
    """Rows with None for what an epoch did not have, such as steps of alpha and beta in a warm-up."""
    return [{name: value if math.isfinite(value) else None for name, value in row.items()} for row in rows]


def collect(run: Path) -> tuple[dict[str, Any], str]:
    """Document and Markdown table of a trial's folder."""
    architecture = Architecture.read(run / "architecture.json")
    metrics = read_metrics(run / "retrained").as_json()
    dataset = load_dataset(metrics["dataset"]["name"])
    unpruned = architecture_cost(architecture.space, architecture.space.largest).as_dict()
    floor = {part: evaluate(Popularity(dataset), dataset, part, protocols=PROTOCOLS) for part in ("valid", "test")}
    document = {
        "architecture": architecture.model_dump(mode="json", by_alias=True, exclude={"metrics", "versions"}),
        "metrics": metrics,
        "unpruned_cost": unpruned,
        "share_of_unpruned_madds": metrics["cost"]["madds_per_user"] / unpruned["madds_per_user"],
        "popularity": floor,
        "search_history": _finite(read_history(run / "state" / "history.csv")),
        "retrain_history": _finite(read_history(run / "retrained" / "history.csv")),
    }
    tables = []
    for part in ("valid", "test"):
        searched = read_run("searched, retrained", run / "retrained" / "metrics.json")
        figures = {**searched.figures, **metrics[part]}
        rows = [
            ComparisonRow("searched, retrained", figures),
            ComparisonRow("unpruned (cost only)", unpruned),
            ComparisonRow("popularity", floor[part]),
        ]
        tables.append(f"## {part}\n\n{comparison_markdown(rows)}\n")
    return document, "\n".join(tables)


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    document, tables = collect(options.run)
    write_json(options.out.with_suffix(".json"), document)
    write_text(options.out.with_suffix(".md"), tables)
    print(tables)


if __name__ == "__main__":
    main()
