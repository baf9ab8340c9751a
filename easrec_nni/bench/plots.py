"""Log–log plots of scaling curves, with fitted slopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import NullFormatter

from easrec_nni.common.figures import ACCENT, GRID, MUTED, Picture, new_figure, picture, set_titles
from easrec_nni.common.readable import readable_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["prepare_plot", "scaling_plot"]

BLUE = "#0072b2"


def scaling_plot(scalings: Sequence[dict[str, Any]]) -> Picture:
    """One panel per axis: time of inference and training over the size.

    Parameters
    ----------
    scalings
        Figures of :class:`~easrec_nni.bench.scaling.Axis`, at least one.
    """
    with new_figure(4.2 * len(scalings), 3.6) as figure:
        for place, scaling in enumerate(scalings):
            _panel(figure.add_subplot(1, len(scalings), place + 1), scaling)
        titles = ", ".join(scaling["title"] for scaling in scalings)
        return picture(
            figure, "scaling", "How time grows", f"Time of inference and training over {titles}, both axes logarithmic"
        )


def _panel(axes: Axes, scaling: dict[str, Any]) -> None:
    points, slopes = scaling["points"], scaling["slopes"]
    sizes = [point["value"] for point in points]
    curves = {
        "inference": ([point["inference_seconds_per_user"] for point in points], ACCENT, "o"),
        "training": ([point["training_step_seconds"] for point in points], BLUE, "s"),
    }
    # Over N the slope is that of training on a whole sequence, otherwise on a position.
    by_sequence = scaling["axis"] == "max_length"
    for name, (spreads, colour, marker) in curves.items():
        trained = [point["training_positions"] / (point["value"] if by_sequence else 1) for point in points]
        per = trained if name == "training" else [1.0] * len(points)
        middle, low, high = (
            [1e6 * seconds[key] / divisor for seconds, divisor in zip(spreads, per, strict=True)]
            for key in ("median", "min", "max")
        )
        unit = "user" if name == "inference" else "sequence" if by_sequence else "position"
        axes.plot(
            sizes, middle, marker=marker, color=colour, label=f"{name}, µs per {unit}: slope {_number(slopes[name])}"
        )
        axes.fill_between(sizes, low, high, color=colour, alpha=0.2, linewidth=0)
    _logarithmic(axes)
    set_titles(axes, x=scaling["title"], y="µs")


def prepare_plot(figures: dict[str, Any]) -> Picture:
    """Seconds of preparing, of its floor, of opening and of a first batch, over the interactions of the log.

    Parameters
    ----------
    figures
        Figures of :mod:`easrec_nni.bench.prepare_scale`.
    """
    rows, slopes = figures["rows"], figures["slopes"]
    curves = {
        "prepare_seconds": (f"prepare: slope {_number(slopes['prepare'])}", ACCENT, "o"),
        "floor_seconds": (f"DuckDB alone: slope {_number(slopes['floor'])}", BLUE, "s"),
        "first_causal_batch_seconds": ("first batch", MUTED, "^"),
        "opening_seconds": ("opening", MUTED, "v"),
    }
    with new_figure(5, 3.6) as figure:
        axes = figure.add_subplot(1, 1, 1)
        for name, (label, colour, marker) in curves.items():
            medians = [row[name]["median"] for row in rows]
            axes.plot([row["interactions"] for row in rows], medians, marker=marker, color=colour, label=label)
        _logarithmic(axes)
        set_titles(axes, x="interactions", y="seconds")
        return picture(
            figure,
            "prepare-scale",
            "How preparing grows",
            "Seconds of preparing, opening and a first batch over the interactions, both axes logarithmic",
        )


def _logarithmic(axes: Axes) -> None:
    """Logarithmic axes with plain numbers, and a legend above."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(True, which="major", color=GRID)
    for axis in (axes.xaxis, axes.yaxis):  # matplotlib's labels of powers are formulas, which the style prints raw
        axis.set_major_formatter(lambda value, _: readable_count(value) if value >= 1 else f"{value:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, labelcolor=MUTED, frameon=False)


def _number(slope: float | None) -> str:
    return "–" if slope is None else f"{slope:.2f}"
