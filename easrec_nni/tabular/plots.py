"""Plots of regret: over the trials of simulated searches, and of exported architectures beside the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from easrec_nni.common.figures import INK, MUTED, Picture, new_figure, picture, set_titles
from easrec_nni.tabular.comparing import Comparison
from easrec_nni.tabular.regret import Regret
from easrec_nni.tabular.table import ArchitectureTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curves_plot", "regret_plot"]

COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#999933")
MARKERS = "os^Dv<>PXhd"  # not as many as colours: every pair is there once before one comes again


def _look(number: int) -> dict[str, Any]:
    """Colour and marker of a strategy by its place."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def curves_plot(rows: Sequence[Mapping[str, Any]], figure_name: str) -> Picture:
    """Mean regret over the number of trials, a line with its interval for each strategy.

    Parameters
    ----------
    rows
        Rows of :func:`~easrec_nni.tabular.studying.study_rows`.
    figure_name
        Figure that the regret is of, such as ``test_ndcg@10_unseen``.
    """
    names = list(dict.fromkeys(row["strategy"] for row in rows))
    key = f"regret_nats_{figure_name}"
    with new_figure(6.4, 4.2) as figure:
        axes = figure.add_subplot()
        for number, name in enumerate(names):
            curve = [row for row in rows if row["strategy"] == name]
            trials, look = [row["trials"] for row in curve], _look(number)
            axes.plot(trials, [row[key] for row in curve], label=name, markersize=4, **look)
            if curve[0]["low"] is not None:
                low, high = ([row[side] for row in curve] for side in ("low", "high"))
                axes.fill_between(trials, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        set_titles(axes, x="architectures trained", y=f"regret in nats, {figure_name}")
        ends = ", ".join(f"{name} {[row[key] for row in rows if row['strategy'] == name][-1]:.4f}" for name in names)
        alt = f"Regret after the last trial: {ends}."
        caption = f"Mean over {rows[0]['searches']} simulated searches with a 95 % bootstrap interval. {alt}"
        return picture(figure, "curves", "Regret over trials", alt, caption)


def regret_plot(
    table: ArchitectureTable,
    regrets: Mapping[str, Sequence[Regret]],
    compared: Mapping[str, Sequence[Comparison]],
    kind: str,
    figure_name: str,
) -> Picture:
    """Exported architectures beside the table's front, and the mean regrets of each strategy.

    Parameters
    ----------
    table
        The table.
    regrets
        Regrets by strategy.
    compared
        Their means and intervals, by what limits the cost of the networks that they are compared with. Of the first,
        all strategies; the markers of the second are hollow.
    kind
        Kind of cost.
    figure_name
        Figure that the regret is of.
    """
    names = list(regrets)
    with new_figure(9.6, 4.4) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _front(left, table, kind, figure_name)
        for number, (name, found) in enumerate(regrets.items()):
            x, y = [each.relative_cost for each in found], [each.figure for each in found]
            left.plot(x, y, linestyle="", label=name, markersize=6, alpha=0.7, **_look(number))
        left.legend(frameon=False)
        set_titles(left, x=f"{kind} cost, share of the unpruned network's", y=figure_name, title="Exported networks")
        for place, rows in enumerate(compared.values()):
            for row in rows:
                number = names.index(row.label)
                low, high = (row.mean, row.mean) if row.interval is None else (row.interval.low, row.interval.high)
                errors = [[100 * (row.mean - low)], [100 * (high - row.mean)]]
                look = {**_look(number), "markerfacecolor": "none" if place else None}
                right.errorbar(100 * row.mean, number + 0.25 * place, xerr=errors, linestyle="", capsize=3, **look)
        right.set_yticks(range(len(names)), [f"{name} ({len(regrets[name])})" for name in names])
        right.set_ylim(len(names) - 0.5, -0.5)
        right.set_xlim(left=0)
        two = len(compared) > 1
        limits = "\nfilled: own cost, hollow: budget" if two else ""
        set_titles(right, x=f"regret in % of the best figure{limits}", title="Mean regret (seeds)")
        means = "; ".join(
            f"at most its {limit}: " + ", ".join(f"{row.label} {100 * row.mean:.1f} %" for row in rows)
            for limit, rows in compared.items()
        )
        alt = f"Mean regret of the network, compared with the best of {means}."
        hollow = " Hollow: within the budget." if two else ""
        caption = f"Dashed: the table's front. Bars: 95 % bootstrap intervals over seeds.{hollow} {alt}"
        return picture(figure, "regret", "Regret of exported networks", alt, caption)


def _front(axes: Axes, table: ArchitectureTable, kind: str, figure_name: str) -> None:
    """All architectures of the table as dots, and the steps of the front."""
    largest = table.cost(table.largest, kind)
    points = [(table.cost(entry, kind) / largest, entry.mean(figure_name)) for entry in table.entries]
    axes.plot(*zip(*points, strict=True), ".", color=MUTED, markersize=4)
    front = [(table.cost(entry, kind) / largest, entry.mean(figure_name)) for entry in table.front(kind, figure_name)]
    front.append((max(x for x, _ in points), front[-1][1]))
    axes.step(*zip(*front, strict=True), where="post", color=INK, linewidth=1.0, linestyle="--")
