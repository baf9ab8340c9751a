"""Growth of time and memory with history length N, number of items, width and depth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.point import measure_point
from easrec_nni.bench.tables import format_figure
from easrec_nni.common.markdown import markdown_table
from easrec_nni.common.readable import readable_bytes, readable_count

__all__ = ["MEASUREMENTS", "Axis", "fitted_slope"]

# Positions in a training step; fewer over many items, since every position has a score for each item.
POSITIONS, POSITIONS_OVER_ITEMS = 8192, 512
# Total positions of the histories in an inference batch.
SCORED = 51_200


def fitted_slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Least-squares slope through points in log–log: the exponent of a quantity's growth.

    From y = a xᵇ follows log y = log a + b log x.

    Parameters
    ----------
    points
        Pairs of positive numbers; None is returned for fewer than two different x.

    Examples
    --------
    >>> fitted_slope([(1, 3), (10, 300), (100, 30000)])
    2.0
    """
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    mean_x, mean_y = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in logs)
    return round(covariance / sum((x - mean_x) ** 2 for x, _ in logs), 12)


@dataclass(frozen=True)
class Axis:
    """A size that is varied while all others stay fixed.

    Attributes
    ----------
    name
        Field of :class:`~search_spaces.SpaceConfig`.
    title
        Title in tables and plots.
    values, quick_values
        Values to measure, and those of a quick run.
    fields
        Function that sets a value in the configuration's fields.
    slope_from
        Smallest value used to fit the slope.
    positions
        Positions in a training step.
    """

    name: str
    title: str
    values: tuple[int, ...]
    quick_values: tuple[int, ...]
    fields: Callable[[dict[str, Any], int], dict[str, Any]]
    slope_from: int = 0
    positions: int = POSITIONS

    def measure(self, bench: Bench) -> Figures:
        """Measure all points along the axis and fit slopes."""
        values = self.quick_values if bench.request.quick else self.values
        config = bench.space.compact(bench.space.largest).model_dump(mode="json")
        points = [{"value": value, **self._point(bench, self.fields(config, value))} for value in values]
        fitted = [point for point in points if point["value"] >= self.slope_from]
        quantities = {
            "inference": lambda point: point["inference_seconds_per_user"]["median"],
            "training": lambda point: point["training_step_seconds"]["median"] / point["training_positions"],
            "training_memory": lambda point: point["training_memory_bytes"],
            "madds": lambda point: point["executed_madds_per_user"],
        }
        if self.name == "max_length":  # the same number of sequences of growing length, position by position
            quantities["training"] = lambda point: (
                point["training_step_seconds"]["median"] / point["training_positions"] * point["value"]
            )
        slopes = {
            name: fitted_slope([(point["value"], quantity(point)) for point in fitted])
            for name, quantity in quantities.items()
        }
        return {"axis": self.name, "title": self.title, "points": points, "slopes": slopes} | (
            {"slope_from": self.slope_from} if self.slope_from else {}
        )

    def _point(self, bench: Bench, config: dict[str, Any]) -> Figures:
        length, quick = config["max_length"], bench.request.quick
        positions = 64 if quick else self.positions
        return bench.in_own_process(
            measure_point,
            config=config,
            users=2 if quick else max(1, SCORED // length),
            sequences=max(1, positions // length),
            positions=length if self.name == "max_length" else min(length, positions),
            repeats=bench.repeats,
        )


def _table(figures: Figures) -> list[str]:
    headings = [
        figures["title"],
        "inference, ms per user",
        "training step, µs per position",
        "training memory",
        "multiply-adds per user",
    ]
    rows = [
        [
            f"{point['value']:,}",
            format_figure(1e3 * point["inference_seconds_per_user"]["median"]),
            format_figure(1e6 * point["training_step_seconds"]["median"] / point["training_positions"]),
            readable_bytes(point["training_memory_bytes"]),
            readable_count(point["executed_madds_per_user"]),
        ]
        for point in figures["points"]
    ]
    table = markdown_table(headings, rows, right=[True] * len(headings))
    slopes = ", ".join(
        f"{name} {'–' if slope is None else f'{slope:.2f}'}" for name, slope in figures["slopes"].items()
    )
    since = f" (from {figures['slope_from']:,} on)" if "slope_from" in figures else ""
    return [*table.splitlines(), "", f"Slopes in log–log{since}: {slopes}."]


AXES = (
    Axis(
        "max_length",
        "history length, N",
        (50, 100, 200, 400, 800, 1600, 3200),
        (8, 16),
        lambda config, value: {**config, "max_length": value},
        slope_from=200,
    ),
    Axis(
        "n_items",
        "items",
        (3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
        (50, 100),
        lambda config, value: {**config, "n_items": value},
        positions=POSITIONS_OVER_ITEMS,
    ),
    Axis(
        "hidden",
        "hidden width, d",
        (32, 64, 128, 256, 512),
        (16, 32),
        lambda config, value: {**config, "hidden": value, "inner": 2 * value},
    ),
    Axis(
        "layers",
        "layers, L",
        (1, 2, 4, 8),
        (1, 2),
        lambda config, value: {**config, "layers": value, "min_depth": value},
    ),
)

MEASUREMENTS = tuple(
    Measurement(f"scaling-{axis.name}", f"inference and training over {axis.title}, with slopes", axis.measure, _table)
    for axis in AXES
)
