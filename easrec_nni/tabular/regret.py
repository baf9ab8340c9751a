"""Regret of architectures: their distance to a table's front at their own cost."""

from __future__ import annotations

from dataclasses import dataclass

from easrec_nni.tabular.table import ArchitectureTable, TableEntry

__all__ = ["Regret", "regret"]


@dataclass(frozen=True)
class Regret:
    """Distance of an architecture to the front at its own cost.

    Attributes
    ----------
    entry
        The architecture.
    cost
        Its cost, in the cost's unit.
    relative_cost
        Share of the unpruned network's cost.
    figure
        Its figure, mean over the seeds.
    front
        Best architecture of at most the same cost; the architecture itself if it is on the front.
    front_figure
        That one's figure.
    """

    entry: TableEntry
    cost: float
    relative_cost: float
    figure: float
    front: TableEntry
    front_figure: float

    @property
    def absolute(self) -> float:
        """Figure missed, 0 or more."""
        return self.front_figure - self.figure

    @property
    def relative(self) -> float:
        """Share of the front's figure missed, from 0 to 1."""
        return self.absolute / self.front_figure if self.front_figure > 0 else 0.0


def regret(table: ArchitectureTable, entry: TableEntry, kind: str | None = None, figure: str | None = None) -> Regret:
    """Regret of an architecture.

    The front is that of the table's means, whose noise makes the best of several architectures look better than it is:
    read regrets against the table's noise ceiling.

    Parameters
    ----------
    table
        The table.
    entry
        The architecture.
    kind
        Kind of cost; the table's default by default.
    figure
        Figure of accuracy; by default the selecting metric on test.
    """
    name = table.check_figure(figure or table.tested)
    cost = table.cost(entry, kind)
    best = max(table.within(cost, kind), key=lambda other: (other.mean(name), other is entry))
    return Regret(
        entry=entry,
        cost=cost,
        relative_cost=cost / table.cost(table.largest, kind),
        figure=entry.mean(name),
        front=best,
        front_figure=best.mean(name),
    )
