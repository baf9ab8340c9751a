"""Plot of accuracy over training time, one line for each system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.ticker import LogLocator

from benchmarks.peers.curve import figure_name
from easrec_nni.common.errors import UserError
from easrec_nni.common.figures import COLOURS, Picture, new_figure, picture, set_titles
from easrec_nni.common.files import read_json
from easrec_nni.training.history import read_history

__all__ = ["curves_plot", "read_curve"]


def read_curve(file: Path) -> dict[str, Any]:
    """Read a curve of ``time-to-ndcg``, or the ``history.csv`` of a retraining.

    Returns
    -------
    dict
        ``rows`` with ``epoch``, ``seconds`` from the start, and metrics under ``valid_…`` and, in a curve, ``test_…``;
        ``ranking`` if the file names one.

    Raises
    ------
    UserError
        The file is neither.
    """
    if file.suffix != ".csv":
        document = read_json(file)
        if not isinstance(document, dict) or not isinstance(document.get("rows"), list):
            raise UserError(f"{file} holds no curve: give a file of `time-to-ndcg` or the history.csv of a retraining")
        return document
    rows: list[dict[str, float]] = []
    for row in read_history(file, "give the history.csv of a retraining"):
        metrics = {f"valid_{name}": value for name, value in row.items() if "@" in name}
        before = rows[-1]["seconds"] if rows else 0.0
        rows.append({"epoch": row["epoch"], "seconds": before + row["seconds"], **metrics})
    return {"rows": rows}


def curves_plot(curves: Mapping[str, Sequence[Mapping[str, float]]], ranking: str, dataset: str) -> Picture:
    """Validation NDCG@10 over seconds of training and validating, with the best epoch of each system marked.

    Raises
    ------
    UserError
        A curve has no trained epoch with this ranking.
    """
    metric = figure_name("valid", ranking)
    with new_figure(7.0, 4.2) as figure:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        for (name, rows), colour in zip(curves.items(), cycle(COLOURS), strict=False):
            trained = [row for row in rows if row["epoch"] >= 0 and metric in row]
            if not trained:
                raise UserError(f"{name} has no epoch with {metric}: choose another --ranking or file")
            best = max(trained, key=lambda row: row[metric])
            axes.plot([row["seconds"] for row in trained], [row[metric] for row in trained], color=colour, label=name)
            axes.plot(best["seconds"], best[metric], "o", color=colour, markersize=5)
        set_titles(axes, x="seconds of training (logarithmic)", y=f"NDCG@10 {ranking}, validation")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        axes.legend(frameon=False, loc="lower right")
        title = f"Accuracy over time, {dataset}"
        caption = "A point is the best epoch of a system."
        return picture(figure, f"curves-{dataset}", title, f"{title}: {', '.join(curves)}. {caption}", caption)
