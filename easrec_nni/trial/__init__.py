"""Trials: search and retraining as one trial of an NNI experiment.

* ``run.py``: a trial and its program; ``stages.py``: search, retraining, judgement, for trials and cells of studies
* ``unpruned.py``: the unpruned network that trials are judged against
* ``nni_io.py``: parameters from NNI, results to NNI; ``final_result.py``: the final result
* ``reports.py``, ``tensorboard.py``: reports of each epoch; ``objective.py``: the figure that a tuner maximises
* ``nas.py``: trials of NNI's own NAS interface; ``manager_api.py``: REST API of NNI's manager
* ``tuner_direction.py``: check that tuner and assessor maximise

To add an objective: a kind in ``objective.py`` and in the settings.
"""
