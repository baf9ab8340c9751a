"""Training: one loop for supernets and compact networks, its losses, its callbacks, and several processes.

* ``module.py``, ``trainer.py``: the Lightning module and its trainer; ``callbacks.py``: what each epoch leaves
* ``run_folder.py``: the folder of a run, which can be resumed
* ``context.py``: batches, loss, users and identity of a run, as its settings say; ``recorded.py``: settings that an
  architecture records; ``protocol.py``: who selects what, by which figure
* ``micro_batches.py``, ``micro_batch_size.py``: batches in parts that fit the memory
* ``divergence.py``: the end of a training that diverged; ``history.py``: the rows of its epochs
* ``losses/``: one file for each loss; ``parallel/``: one run in several processes

To add a loss: one file in ``losses/``, one line in its registry, and its name in ``Loss`` of
``easrec_nni/architecture/training_settings.py``.
"""
