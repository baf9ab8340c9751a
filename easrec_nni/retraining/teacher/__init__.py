"""Teachers of a distillation: what they say is computed once and stored in the run's state.

* ``opening.py``: the kinds of teachers, and which one a path names
* ``run.py``: the folder of a retrained network, whose states are stored
* ``onnx_file.py``: an ONNX file, whose best items of each position are stored
* ``table.py``: a table of scores, which covers the newest training position of each user
* ``store.py``: the stored arrays, read by :class:`~easrec_nni.training.losses.distillation.Distilled`

To add a kind: a module with a subclass of :class:`~easrec_nni.retraining.teacher.opening.TeacherSource`, its name in
``TeacherKind`` of ``easrec_nni/architecture/training_settings.py``, and a branch in ``opening.open_teacher``.
"""
