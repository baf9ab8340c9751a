"""Fake peer in a separate process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.peers.systems import Contestant

FAKE_PEER = '''
import sys

import numpy as np

from benchmarks.peers.log import Log
from benchmarks.peers.worker_loop import answer_requests


def load(order):
    """System with the times given in its order, whose scores improve with every epoch."""
    if "broken" in order:
        raise ValueError("it has no network")
    log, epochs = Log.read(order["log"]), [0]

    def one_pass(batch):
        return {"seconds": order["seconds"] * (1 if batch is None else 1 + abs(batch - 512) / 512)}

    def epoch():
        epochs[0] += 1
        return {"seconds": order["seconds"], "batches": 10, "batches_of_an_epoch": 10}

    def scores(part, file):
        places = log.valid_places if part == "valid" else log.test_places
        table = np.tile(np.arange(log.n_items + 1, dtype=np.float32), (len(places), 1))
        rows = np.arange(len(places)) < epochs[0] * len(places) // 4  # a quarter more of the users in each epoch
        table[rows, log.items[places[rows]]] = 1e6
        np.save(file, table)
        return {"seconds": 0.5 if part == "valid" else 100.0}

    def save(file):
        open(file, "w").write(str(epochs[0]))
        return {}

    def load_state(file):
        epochs[0] = int(open(file).read())
        return {}

    def batches(count, warmup):
        return {"seconds": [order["seconds"]] * count, "batches_of_an_epoch": 100}

    facts = {"baseline_peak_memory_bytes": 1000, "threads": order["threads"], "versions": {"fake_peer": "1"}}
    handlers = {"pass": one_pass, "epoch": epoch, "scores": scores, "save": save, "load": load_state}
    return facts, {**handlers, "batches": batches}


sys.exit(answer_requests(load, sys.argv[1:]))
'''


@pytest.fixture
def fake_peer(tmp_path: Path):
    """Factory of fake systems by name, log and seconds."""
    script = tmp_path / "fake_peer.py"
    script.write_text(FAKE_PEER)

    def make(name: str, log: Path, seconds: float, **order: object) -> Contestant:
        return Contestant(
            name, (sys.executable, str(script)), {"log": str(log), "seconds": seconds, "threads": 1, **order}, "default"
        )

    return make
