"""Serving: recommendations from event streams or histories, and ONNX export.

* ``streaming.py``: :class:`StreamingRecommender`, one state of constant size per user
* ``streamable.py``: which networks can be streamed, and the equivalent network without a window
* ``step.py``: one event per user through all layers, and the best items
* ``bulk.py``: whole histories in pieces, through the network's own blocks
* ``states.py``: states of all users; ``state_files.py``: saving and loading them;
  ``autosave.py``: saving them while a stream runs, under a lock
* ``history.py``: best items after one history, for any network
* ``onnx_export.py``: ONNX export, checked against torch; ``onnx_int8.py``: 8-bit weights, with measured accuracy
"""

from __future__ import annotations

from easrec_nni.serving.streaming import Recommendations, StreamingRecommender

__all__ = ["Recommendations", "StreamingRecommender"]
