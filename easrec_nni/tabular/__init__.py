"""Architecture tables: figures of every architecture of a space, trained from scratch with several seeds.

* ``documents.py``: the table's file; ``table.py``: :class:`~easrec_nni.tabular.table.ArchitectureTable`, which answers
  from it without torch
* ``build_folder.py``: folder of a build and its runs; ``order.py``: order of the runs; ``building.py``: runs trained in
  this process; ``experiment.py``, ``trial.py``: runs as trials of an NNI experiment
* ``collecting.py``: table of the complete runs, ``merging.py``: of several tables; ``assembling.py`` makes both, with
  the noise ceiling of ``noise.py``
* ``simulation.py``, ``studying.py``: multi-trial strategies that search the table instead of training
* ``regret.py``, ``searches.py``, ``comparing.py``: distance of exported architectures to the front, tests over seeds
* ``agreement.py``: rank correlation of a supernet's figures with a table
* ``results.py``, ``plots.py``: files of both

To add a figure to the table: its name in ``FIGURES`` of ``assembling.py``. Kinds of cost are those of
:mod:`easrec_nni.architecture.cost_kinds`.
"""
