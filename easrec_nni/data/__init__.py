"""Data: preparing logs of interactions, and opening prepared datasets.

`prepare` turns a named dataset or local files into a folder of memory-mapped arrays, and `load_dataset`
opens that folder. Every split comes from `easrec_nni.data.splits`, every sampled negative from `draw_negatives`.

To add a dataset, write one file in ``easrec_nni/data/sources`` and add one line to the registry `NAMED`
in ``easrec_nni/data/sources/__init__.py``. To add a split, write one file in ``easrec_nni/data/splits`` and add one
line to the registry `SPLITS` there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from easrec_nni.common.lazy import lazy_names

if TYPE_CHECKING:
    from easrec_nni.data.dataset import Dataset, ItemFeature
    from easrec_nni.data.loading import load_dataset
    from easrec_nni.data.manifest import Manifest, PrepareSettings
    from easrec_nni.data.negatives import draw_negatives
    from easrec_nni.data.pipeline import prepare, preview
    from easrec_nni.data.splits import LeaveOneOut, Split, leave_one_out
    from easrec_nni.data.splits.validation_users import split_validation_users

__all__ = [
    "Dataset",
    "ItemFeature",
    "LeaveOneOut",
    "Manifest",
    "PrepareSettings",
    "Split",
    "draw_negatives",
    "leave_one_out",
    "load_dataset",
    "prepare",
    "preview",
    "split_validation_users",
]

__getattr__ = lazy_names(__name__)
