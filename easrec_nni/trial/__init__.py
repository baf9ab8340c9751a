"""Trials: a search and a retraining as one trial of an NNI experiment, started by ``python -m easrec_nni.trial``.

* ``run.py``: the trial and its program; ``stages.py``: search and retraining, as trials and cells of studies run them
* ``nni_io.py``: parameters from NNI, results to NNI; ``final_result.py``: what NNI is told at the end
* ``reports.py``, ``tensorboard.py``: what each epoch reports; ``objective.py``: the figure that a tuner maximises
* ``nas.py``: a trial of NNI's own NAS interface

To add an objective: a kind in ``objective.py`` and in the settings.
"""
