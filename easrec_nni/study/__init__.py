"""Studies: the cells of a table, run as trials of an NNI experiment, then measured and reported.

An interrupted study resumes with its missing cells. ``documents.py`` has the files of a study as typed models, for the
code that writes them and for reports.

To add a table: one line in ``tables.py``. To add a budget: one line in ``budgets.py``.
"""
