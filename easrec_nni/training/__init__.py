"""Training of supernets and compact networks: loop, losses, callbacks, data parallelism.

* ``module.py``, ``trainer.py``: the Lightning module and its trainer; ``callbacks.py``: history, checkpoints, early
  stopping
* ``run_folder.py``: resumable output folder of a run
* ``context.py``: batches, loss, users and identity of a run, from its settings; ``recorded.py``: settings that an
  architecture records; ``protocol.py``: which users and which metric select
* ``micro_batches.py``, ``micro_batch_size.py``: batches in parts that fit the cache
* ``divergence.py``: detection of diverged training; ``history.py``: ``history.csv``
* ``losses/``: one file per loss; ``parallel/``: data-parallel runs

To add a loss: one file in ``losses/``, one line in its registry, and its name in ``Loss`` of
``easrec_nni/architecture/training_settings.py``.
"""
