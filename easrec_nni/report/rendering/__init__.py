"""Rendering of a report's content as one HTML file and as Markdown."""

from easrec_nni.report.rendering.markdown import markdown_report
from easrec_nni.report.rendering.page import html_report

__all__ = ["html_report", "markdown_report"]
