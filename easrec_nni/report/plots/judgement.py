"""Plot of judged networks: accuracy kept against cost, with intervals and the margin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter

from easrec_nni.architecture.cost_kinds import COST_TITLES
from easrec_nni.common.figures import ACCENT, INK, MUTED, Look, Picture, new_figure, picture
from easrec_nni.common.readable import counted
from easrec_nni.evaluation.judgement import CONFIDENCE, Judgement, Verdict
from easrec_nni.report.judgements import JudgedTrial
from easrec_nni.report.plots.labels import PointLabel, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["judgement_plot"]

GREEN, BLUE = "#009e73", "#0072b2"
_LOOKS: dict[Verdict, Look] = {"kept": Look(GREEN, "o"), "cannot tell": Look(BLUE, "s"), "lost": Look(ACCENT, "X")}
LEAST_RANGE = 0.04  # of the vertical axis, as a share of the unpruned accuracy


def judgement_plot(judged: Sequence[JudgedTrial], chosen: JudgedTrial, name: str) -> Picture:
    """Two panels: the choice by the validation users, and its check by the test users.

    Parameters
    ----------
    judged
        Judged trials, one or more.
    chosen
        The chosen one of them.
    name
        Name of the picture's file, without ending.
    """
    parts = {
        "1  Choose: cheapest network in the green": [each.valid for each in judged],
        "2  Check the choice on other targets": [each.test for each in judged],
    }
    with new_figure(9.6, 5.0) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (title, verdicts), users in zip(panels, parts.items(), ("validation", "test"), strict=True):
            _panel(axes, judged, verdicts, chosen)
            axes.set_title(title, pad=22)
            axes.set_xlabel(f"cost, % of the unpruned network:\n{COST_TITLES[chosen.cost_kind]}")
            metric, _, protocol = verdicts[0].figure.partition("_")
            about = f"{metric.upper()} ({protocol}), {counted(verdicts[0].users, f'{users} user')}"
            axes.text(0, 1.02, about, transform=axes.transAxes, color=MUTED, fontsize=9)
        _vertical(panels[0], [verdict for verdicts in parts.values() for verdict in verdicts])
        panels[0].set_ylabel("accuracy, % of the unpruned network")
        for axes, verdicts in zip(panels, parts.values(), strict=True):
            _labels(axes, judged, verdicts, chosen)
        _legend(panels[0], chosen.valid.margin)
        title = f"Trial {chosen.trial.number}: {chosen.test.verdict} at {chosen.cost_share:.0%} of the cost"
        alt = (
            f"Accuracy of {counted(len(judged), 'network')} relative to the unpruned one against their cost. Chosen: "
            f"trial {chosen.trial.number}, with {chosen.cost_share:.0%} of the {COST_TITLES[chosen.cost_kind]}. "
            f"{chosen.test.text}"
        )
        caption = (
            f"Further left is cheaper, further up is more accurate. Bars are {CONFIDENCE:.0%} intervals over users: a "
            "network keeps the accuracy if its whole bar is in the green, and loses it if the whole bar is below. The "
            "ring marks the chosen network; the test users decided nothing."
        )
        return picture(figure, name, title, alt, caption)


def _panel(axes: Axes, judged: Sequence[JudgedTrial], verdicts: Sequence[Judgement], chosen: JudgedTrial) -> None:
    axes.axhspan(100 * (1 - verdicts[0].margin), 1000, color=GREEN, alpha=0.12, linewidth=0, zorder=0)
    axes.axhline(100 * (1 - verdicts[0].margin), color=GREEN, linewidth=1.0, linestyle="--", zorder=1)
    axes.axhline(100, color=MUTED, linewidth=0.8, zorder=1)
    axes.plot(100, 100, "*", color=INK, markersize=13, zorder=4)
    for each, verdict in zip(judged, verdicts, strict=True):
        look, x = _LOOKS[verdict.verdict], 100 * each.cost_share
        y = _height(verdict)
        if verdict.low is not None and verdict.high is not None:
            axes.plot([x, x], [100 + 100 * verdict.low, 100 + 100 * verdict.high], color=look.colour, zorder=2)
        axes.plot(x, y, look.marker, color=look.colour, markersize=8, zorder=3)
        if each is chosen:
            axes.plot(x, y, "o", markersize=15, markerfacecolor="none", markeredgecolor=INK, zorder=4)
    axes.set_xlim(0, max(108, *(100 * each.cost_share + 8 for each in judged)))


def _height(verdict: Judgement) -> float:
    return 100 + 100 * (verdict.difference or 0.0)


def _vertical(axes: Axes, verdicts: Sequence[Judgement]) -> None:
    """Limits of the vertical axis: all intervals and the margin."""
    ends = [end for verdict in verdicts for end in (verdict.low, verdict.high, verdict.difference) if end is not None]
    low, high = min([*ends, -2 * verdicts[0].margin]), max([*ends, verdicts[0].margin])
    room = 0.08 * max(high - low, LEAST_RANGE)
    axes.set_ylim(100 * (1 + low - room), 100 * (1 + high + room))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))


def _labels(axes: Axes, judged: Sequence[JudgedTrial], verdicts: Sequence[Judgement], chosen: JudgedTrial) -> None:
    labels = [PointLabel(100.0, 100.0, "unpruned")]
    right = axes.get_xlim()[1]
    bars = [[(0.0, y), (right, y)] for y in (100.0, 100 * (1 - verdicts[0].margin))]
    for each, verdict in zip(judged, verdicts, strict=True):
        x, y = 100 * each.cost_share, _height(verdict)
        labels.append(PointLabel(x, y, f" trial {each.trial.number}: {verdict.verdict} ", each is chosen))
        if verdict.low is not None and verdict.high is not None:
            bars.append([(x, 100 + 100 * verdict.low), (x, 100 + 100 * verdict.high)])
    place_labels(axes, labels, bars)


def _legend(axes: Axes, margin: float) -> None:
    text = f"kept: whole bar in the green, at most {margin:.0%} less accurate"
    axes.text(0.02, 0.03, text, transform=axes.transAxes, color=GREEN, fontsize=9)
