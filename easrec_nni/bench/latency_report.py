"""Text of a latency file: parts, predictions, and their error."""

from __future__ import annotations

from easrec_nni.architecture.latency import LatencyFile, latency_table
from easrec_nni.bench.tables import format_figure
from easrec_nni.common.markdown import markdown_table
from easrec_nni.common.readable import counted

__all__ = ["latency_report"]


def latency_report(document: LatencyFile) -> list[str]:
    """Lines of Markdown: predicted latency of every architecture, and predictions against measured times."""
    space = document.space
    predicted = latency_table(document, space)
    headings = ["milliseconds per user", *(counted(depth, "layer") for depth in space.depths)]
    rows = [[label, *map(format_figure, by_depth.values())] for label, by_depth in predicted.items()]
    clock = "" if document.clock == "wall" else "processor time, "
    lines = [
        f"{document.device}, {clock}{counted(document.threads, 'thread')}, "
        f"batches of {counted(document.batch, 'user')}, "
        f"{document.users:,} of {counted(document.test_users, 'test user')}, mean history {document.mean_history:.1f} "
        f"of {document.mean_test_history:.1f}; medians of {counted(document.turns, 'turn')}",
        "",
        *markdown_table(headings, rows).splitlines(),
    ]
    if document.check is not None:
        lines += ["", *_check_lines(document)]
    return lines


def _check_lines(document: LatencyFile) -> list[str]:
    assert document.check is not None
    rows = [
        [
            f"{row.choices.label}, {counted(row.choices.depth, 'layer')}",
            format_figure(row.predicted_ms_per_user),
            format_figure(row.measured_ms_per_user.model_dump()),
            f"{100 * row.relative_error:+.1f} %",
        ]
        for row in document.check.architectures
    ]
    return [
        *markdown_table(["end to end", "predicted", "measured (range)", "error"], rows).splitlines(),
        "",
        f"error of the prediction: median {100 * document.check.median_relative_error:.1f} %, "
        f"largest {100 * document.check.largest_relative_error:.1f} %",
    ]
