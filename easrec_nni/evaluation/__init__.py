"""Evaluation: target ranks, metrics, top-k rule, final test of a run, inference time.

* ``scoring.py``: scores of a network over a dataset; ``ranking.py``: target ranks by protocol
* ``metrics.py``: accuracy from ranks; ``beyond_accuracy.py``: coverage and popularity of recommendations
* ``top_k.py``: top-k items; ``final.py``: validation and test metrics of a finished run; ``figures.py``: their names
* ``inference.py``: inference time per user; ``rank_files.py``: ``ranks.npz``
* ``bootstrap.py``: paired bootstrap over users; ``judgement.py``: whether a network keeps another's accuracy

To add a metric: add its name to ``METRICS`` and its gain to ``user_gains`` in ``metrics.py``; reports include it too.
To add a sampled protocol: add its draw and name in ``easrec_nni/data/negatives.py``, its name to ``KNOWN_PROTOCOLS`` in
``ranking.py``, and to ``PROTOCOLS`` and ``LATER_PROTOCOLS`` in ``figures.py``.
"""
