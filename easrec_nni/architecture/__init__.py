"""Architectures: ``architecture.json``, its drawing, its cost, and its network.

* ``document.py``: :class:`~easrec_nni.architecture.document.Architecture`, read and written as ``architecture.json``
* ``drawing.py``: an architecture drawn in the terminal
* ``weights.py``: the network of an architecture with saved weights; ``compiling.py``: ``torch.compile``
* ``cost.py``: multiply-adds and parameters; ``latency.py``: latency predicted from a device's latency file
* ``onnx_network.py``: ONNX files as networks
* ``features.py``: item features as fields of a space; ``feature_tables.py``: as tables of a network
* ``training_settings.py``: training settings of an architecture; ``run_folder.py``: folder of a retrained network

A new field of the document is a field of ``ArchitectureSchema`` with a default, so that older files can be read. A new
operator needs a handle in ``cost.py``.
"""
