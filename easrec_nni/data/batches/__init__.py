"""Batches of sequences for training and evaluation, one module for each way to cut them.

* ``padding.py``: pieces of the log, and padded rows made of them
* ``training.py``: batches of next items
* ``evaluation.py``: batches of users to evaluate, and of validation targets that train alpha and beta
* ``masked.py``: batches with hidden items
* ``modes.py``: names of the ways, and which networks each of them can train

To add a way to train a sequence: a module here, a name in ``modes.py``, and a branch where ``training/context.py``
makes the batches of a run.
"""
