"""Conversion of a prepared dataset for the peers: same users, item numbers, order and split.

The position of an interaction in its user's sequence becomes its timestamp, so that all timestamps of a user differ and
no peer can order them differently. MovieLens has many interactions within the same second.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.peers.log import ARRAYS, Log
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write, write_text
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.splits import LeaveOneOut

__all__ = ["RECBOLE_NAME", "convert"]

RECBOLE_NAME = "log"
"""Name of the dataset in RecBole: ``log/log.inter`` and ``log/log.item``."""


def convert(dataset: Dataset, folder: Path) -> Log:
    """Write a dataset for the peers, or reuse the one already written.

    Parameters
    ----------
    dataset
        Prepared dataset to convert.
    folder
        Output folder for the arrays of :class:`~benchmarks.peers.log.Log`, and RecBole's atomic files in ``log/``.

    Returns
    -------
    Log
        Converted dataset.
    """
    facts = {"fingerprint": dataset.fingerprint, "n_items": dataset.n_items, "features": list(dataset.item_features)}
    note = folder / "log.json"
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) == facts:
        return Log.read(folder)
    folder.mkdir(parents=True, exist_ok=True)
    split = dataset.split
    if not isinstance(split, LeaveOneOut):
        raise UserError(f"the peers split by leave-one-out, and {dataset.name} is split by {split.name}")
    arrays = (
        np.asarray(dataset.items),
        np.asarray(dataset.offsets),
        split.train_end,
        split.test.users,
        split.valid.places,
        split.test.places,
    )
    for name, array in zip(ARRAYS, arrays, strict=True):
        np.save(folder / f"{name}.npy", array)
    _write_interactions(dataset, folder / RECBOLE_NAME / f"{RECBOLE_NAME}.inter")
    _write_items(dataset, folder / RECBOLE_NAME / f"{RECBOLE_NAME}.item")
    write_text(note, json.dumps(facts) + "\n")  # last: its presence means that the conversion is complete
    return Log.read(folder)


def _write_interactions(dataset: Dataset, file: Path) -> None:
    lengths = np.diff(dataset.offsets)
    users = np.repeat(np.arange(dataset.n_users), lengths)
    places = np.arange(len(dataset.items)) - np.repeat(dataset.offsets[:-1], lengths)
    with atomic_write(file) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for row in zip(users.tolist(), dataset.items.tolist(), places.tolist(), strict=True):
            stream.write("{}\t{}\t{}\n".format(*row))


def _write_items(dataset: Dataset, file: Path) -> None:
    names = list(dataset.item_features)
    lines = ["\t".join(["item_id:token", *(f"{name}:token_seq" for name in names)])]
    for item in range(1, dataset.n_items + 1):
        cells = []
        for feature in dataset.item_features.values():
            values = feature.values[feature.offsets[item] : feature.offsets[item + 1]]
            cells.append(" ".join(f"v{value}" for value in values.tolist()))
        lines.append("\t".join([str(item), *cells]))
    write_text(file, "\n".join(lines) + "\n")
