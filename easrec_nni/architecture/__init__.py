"""Architectures: the document that a search writes, its drawing, its cost, and the network that it describes.

* ``document.py``: :class:`~easrec_nni.architecture.document.Architecture`, read and written as ``architecture.json``
* ``drawing.py``: the same as a drawing of text
* ``weights.py``: the network of an architecture with its saved weights; ``compiling.py``: compiled
* ``cost.py``: multiply-adds and parameters
* ``features.py``: the item features that a network reads; ``feature_tables.py``: the same as its tables
* ``training_settings.py``: how the networks of an architecture were trained; ``run_folder.py``: a retrained folder

To add a field to the document: a field of ``Architecture`` with a default, so that older files can still be read. To
add an operator to the cost: a handle in ``cost.py``.
"""
