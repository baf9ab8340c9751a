"""Studies: every cell of a table, run as trials of one NNI experiment, resumed after a kill, measured at the end.

To add a table: one line in ``tables.py``. To add a budget: one line in ``budgets.py``.
"""
