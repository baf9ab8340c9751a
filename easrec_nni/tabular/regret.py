"""Regret of architectures: their distance to a table's front at their own cost, or within a budget."""

from __future__ import annotations

from dataclasses import dataclass

from easrec_nni.tabular.table import ArchitectureTable, TableEntry

__all__ = ["Regret", "regret"]


@dataclass(frozen=True)
class Regret:
    """Distance of an architecture to the front.

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
        Best architecture of at most the same cost, or within the budget; the architecture itself if it is as good.
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


def regret(
    table: ArchitectureTable,
    entry: TableEntry,
    kind: str | None = None,
    figure: str | None = None,
    budget: float | None = None,
) -> Regret:
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
    budget
        Share of the unpruned network's cost that the architecture could have had. It is compared with the best of at
        most that cost, or of at most its own if that is higher; by default of at most its own.
    """
    name = table.check_figure(figure or table.tested)
    cost, unpruned = table.cost(entry, kind), table.cost(table.largest, kind)
    limit = max(cost, (budget or 0) * unpruned)
    best = max(table.within(limit, kind), key=lambda other: (other.mean(name), other is entry))
    return Regret(
        entry=entry,
        cost=cost,
        relative_cost=cost / unpruned,
        figure=entry.mean(name),
        front=best,
        front_figure=best.mean(name),
    )
