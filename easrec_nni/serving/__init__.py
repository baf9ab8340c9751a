"""Networks at work: recommending from streams of events, and leaving torch as ONNX files.

* ``streaming.py``: :class:`StreamingRecommender`, each user's past as a state of constant size
* ``streamable.py``: which networks have such a state, and a network without the window, to compare with
* ``step.py``: one event of each of many users through all layers, and the best items
* ``bulk.py``: whole histories by pieces, through the network's own blocks
* ``states.py``: the states of all users; ``state_files.py``: saving and restoring them;
  ``kept_states.py``: their file while a stream runs, one process at a time
* ``history.py``: the best items after one history, by any network
* ``onnx_export.py``: a network as an ONNX file, compared with torch; ``onnx_int8.py``: the same in 8 bits, measured
"""

from __future__ import annotations

from easrec_nni.serving.streaming import Recommendations, StreamingRecommender

__all__ = ["Recommendations", "StreamingRecommender"]
