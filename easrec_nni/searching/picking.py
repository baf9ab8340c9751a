"""Choice of an architecture from a front: limits on its cost, and the accuracy that it must keep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from easrec_nni.architecture.cost_kinds import COST_FIGURES, kinds_in
from easrec_nni.architecture.latency import LatencyFile
from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import readable_count
from easrec_nni.searching.front import EvaluatedArchitecture, Front
from search_spaces.config import SpaceConfig

__all__ = ["LATENCY", "Limit", "cost_figure", "parse_share", "pick", "readable_cost", "with_latency"]

LATENCY = COST_FIGURES["latency"]
"""Key of a cost that a front has once a file predicts it."""

ROUNDING = 1e-9  # a cost of exactly a share counts, whatever the rounding of the product


@dataclass(frozen=True)
class Limit:
    """Largest cost of a network.

    Attributes
    ----------
    key
        Key of the cost.
    largest
        Largest value, in the cost's unit.
    """

    key: str
    largest: float


def cost_figure(front: Front, kind: str | None) -> str:
    """Key of a kind of cost in a front; by default of the executed cost, or the nominal one where it is missing.

    Raises
    ------
    UserError
        The kind is unknown, or the front lacks it.
    """
    available = kinds_in([row.cost for row in front.architectures])
    if kind is None:
        return COST_FIGURES[available[0]]
    if kind not in COST_FIGURES:
        raise UserError(f"unknown --cost {kind}; choose from {', '.join(COST_FIGURES)}")
    if kind not in available:
        remedy = "give --latency FILE" if kind == "latency" else f"choose from {', '.join(available)}"
        raise UserError(f"the front has no {kind} cost: {remedy}")
    return COST_FIGURES[kind]


def with_latency(front: Front, file: LatencyFile, space: SpaceConfig) -> Front:
    """Front with the latencies that a file predicts among the costs.

    Parameters
    ----------
    front
        Evaluated architectures.
    file
        Latency file of a device.
    space
        Space of the architectures.
    """
    rows = [
        row.model_copy(update={"cost": {**row.cost, LATENCY: file.predict(row.choice, space)}})
        for row in front.architectures
    ]
    return front.model_copy(update={"architectures": rows})


def readable_cost(key: str, value: float) -> str:
    """Human-readable cost.

    Examples
    --------
    >>> readable_cost("parameters", 27_900), readable_cost("latency_ms_per_user", 0.0371)
    ('27.9 k', '0.0371 ms')
    """
    return f"{value:.3g} ms" if key == LATENCY else readable_count(value)


def parse_share(text: str, option: str) -> float:
    """Share from text such as ``40%`` or ``0.4``.

    Raises
    ------
    UserError
        The text is not a share from above 0 % to 100 %.

    Examples
    --------
    >>> parse_share("40%", "--max-cost"), parse_share("0.98", "--keep-accuracy")
    (0.4, 0.98)
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < share <= 1:
        raise UserError(f"{option} {text}: give a share of the unpruned network's, such as 40% or 0.4")
    return share


def pick(
    front: Front, limits: Sequence[Limit], keep: float | None = None, key: str = "madds_per_user"
) -> EvaluatedArchitecture:
    """Most accurate architecture within limits, or the cheapest one that keeps enough accuracy.

    Parameters
    ----------
    front
        Evaluated architectures.
    limits
        Largest costs.
    keep
        Share of the unpruned network's accuracy to keep; the cheapest architecture that does is taken.
    key
        Cost by which architectures are cheap.

    Raises
    ------
    UserError
        No architecture fits; the message names the nearest one.
    """
    rows = list(front.architectures)
    for limit in limits:
        within = [row for row in rows if row.cost[limit.key] <= limit.largest * (1 + ROUNDING)]
        if not within:
            cheapest = min(rows, key=lambda row: row.cost[limit.key])
            raise UserError(
                f"no architecture has {limit.key} of at most {readable_cost(limit.key, limit.largest)}"
                f"{' within the other limits' if len(rows) < len(front.architectures) else ''}: "
                f"the smallest, {cheapest.name}, has {readable_cost(limit.key, cheapest.cost[limit.key])}"
            )
        rows = within
    if keep is None:
        return max(rows, key=lambda row: (front.accuracy(row), -row.cost[key]))
    least = keep * front.accuracy(front.unpruned())
    accurate = [row for row in rows if front.accuracy(row) >= least]
    if not accurate:
        best = max(rows, key=front.accuracy)
        raise UserError(
            f"no architecture within the limits keeps {front.figure} {least:.4f}: the best, {best.name}, has "
            f"{front.accuracy(best):.4f}, {front.share_of_accuracy(best):.1%} of the supernet's largest network"
        )
    return min(accurate, key=lambda row: (row.cost[key], -front.accuracy(row)))
