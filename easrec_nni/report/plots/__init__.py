"""Plots of the report, drawn with matplotlib, byte-identical for the same figures.

To add a plot: a function that returns a :class:`~easrec_nni.common.figures.Picture`, in a file of its own, called by
the chapter that shows it.
"""
