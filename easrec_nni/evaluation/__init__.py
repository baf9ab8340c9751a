"""Evaluation: ranks of the targets, metrics, the top-k rule, the final test of a run, and scoring time.

* ``scoring.py``: a network's scores over a dataset; ``ranking.py``: ranks of the targets, by protocol
* ``metrics.py``: accuracy from ranks; ``beyond_accuracy.py``: coverage and popularity of recommendations
* ``top_k.py``: the best items; ``final.py``: validation and test figures of a finished run
* ``inference.py``: time per user

To add a metric: a function of ranks in ``metrics.py``, and its name in the dictionary that the module returns.
"""
