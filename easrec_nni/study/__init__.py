"""Studies: every cell of a table, run as trials of one NNI experiment, resumed after a kill, measured at the end.

``documents.py`` has the files of a study as typed models, for the code that writes them and for reports.

To add a table: one line in ``tables.py``. To add a budget: one line in ``budgets.py``.
"""
