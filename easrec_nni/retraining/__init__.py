"""Retraining stage: train an architecture's network and evaluate it.

``stage.py`` has :func:`~easrec_nni.retraining.stage.retrain`, ``steps.py`` its steps, ``judgement.py`` the judgement of
its network against the unpruned one. To add a figure to ``metrics.json``: a field in
:class:`~easrec_nni.retraining.metrics.RunMetrics`, and its value in ``run_metrics`` of the same file.
"""
