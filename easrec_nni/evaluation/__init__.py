"""Evaluation: ranks of the targets, metrics, the top-k rule, the final test of a run, and scoring time.

* ``scoring.py``: a network's scores over a dataset; ``ranking.py``: ranks of the targets, by protocol
* ``metrics.py``: accuracy from ranks; ``beyond_accuracy.py``: coverage and popularity of recommendations
* ``top_k.py``: the best items; ``final.py``: validation and test figures of a finished run; ``figures.py``: their names
* ``inference.py``: time per user

To add a metric: its name in ``METRICS`` and its gain in ``user_gains`` of ``metrics.py``; reports have it too. To add a
sampled protocol: its draw and name in ``easrec_nni/data/negatives.py``, its name in ``KNOWN_PROTOCOLS`` of
``ranking.py``, and in ``PROTOCOLS`` and ``LATER_PROTOCOLS`` of ``figures.py``.
"""
