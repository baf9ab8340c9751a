"""Search stage: a strategy finds an architecture, in one supernet or by training candidates.

* ``stage.py``: :func:`~easrec_nni.searching.stage.search`, for every strategy
* ``one_shot.py``: one-shot strategies, which train one supernet; ``option_losses.py``: their losses by option
* ``nni_engine.py``: execution engine for NNI's strategies inside a trial
* ``by_trials.py``, ``candidates.py``: multi-trial strategies, which train one candidate after another
* ``elastic.py``: elastic strategy, which trains a supernet of working slices; ``paths_module.py``: its training step
* ``inherited.py``: accuracy of slices; ``front.py``: their file; ``picking.py``: choice of one by cost or accuracy
* ``record.py``: best epochs of a one-shot search; ``schedule.py``: learning rate of alpha and beta

To add a one-shot strategy: one file in ``strategies/`` and its name in ``STRATEGIES`` of that package. To add a
multi-trial strategy: a function in ``multi_trial.py`` there. Nothing changes here, unless the strategy has options of
its own, which ``make_strategy`` in ``one_shot.py`` passes on.
"""
