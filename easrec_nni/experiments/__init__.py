"""NNI experiments: check, start, watch, stop, read and export them.

* Files: ``file.py``, ``search_space_checks.py``, ``drawn_settings.py``, ``data_checks.py``
* Checks before a start: ``checks.py``, ``gpu_checks.py``, ``tuner_checks.py``, ``tuner_rehearsal.py``
* Running: ``launching.py``, ``nnictl.py``, ``manager.py``, ``processes.py``, ``watching.py``, ``logs.py``
* Experiments and trials: ``experiment.py``, ``records.py``, ``trial_rows.py``, ``sqlite_records.py``
* Results: ``result_files.py``, ``export.py``, ``remote_files.py``
* NNI's own NAS interface: ``nas.py``

To add a check before a start: a function that returns a line or raises a ``UserError``, listed in ``CHECKS`` of
``checks.py``.
"""
