"""Reports of studies and experiments: tables and plots on one offline page, and as files.

A new system appears without a change here. To add a table or plot: a function that makes a chapter, called by
``compose`` of :mod:`easrec_nni.report.composing`, and for a table its file's name in ``DATA_FILES`` there.
"""

from easrec_nni.report.writing import write_report

__all__ = ["write_report"]
