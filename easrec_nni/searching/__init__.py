"""Search stage: a strategy finds an architecture on a dataset, in one supernet or by the trials of many networks.

* ``stage.py``: :func:`~easrec_nni.searching.stage.search`, for every strategy
* ``one_shot.py``: strategies that train one supernet
* ``nni_engine.py``: NNI's strategies, run inside a trial
* ``by_trials.py``, ``candidates.py``: strategies that train candidates one after the other
* ``record.py``: the best epochs of a search; ``schedule.py``: learning rate of alpha and beta

To add a strategy: one file in ``strategies/`` and its name in ``STRATEGIES`` of that package, or for one that trains
each architecture a function in ``multi_trial.py`` there. Nothing changes here, unless it has options of its own, which
``stage.py`` hands to it.
"""
