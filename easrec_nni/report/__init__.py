"""The report of one or several studies: tables and plots in one page that works offline, and as files.

To add a system nothing is to be done here. To add a table or plot: a chapter (:mod:`easrec_nni.report.composing`).
"""

from easrec_nni.report.writing import write_report

__all__ = ["write_report"]
