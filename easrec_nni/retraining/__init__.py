"""Retraining stage: the network of an architecture is trained, by itself or from inherited weights, and tested.

``stage.py`` has :func:`~easrec_nni.retraining.stage.retrain`. To add a figure to ``metrics.json``: a field of
:class:`~easrec_nni.retraining.metrics.RunMetrics`, and its value in ``run_metrics`` of the same file.
"""
