"""YAML: settings and experiments."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.experiments.file import read_experiment
from easrec_nni.settings.trial import TrialSettings
from tests.hostile_files.conftest import DEPTH, Trap, refused

BOMB = "\n".join(
    ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
)
YAML = {
    "a call": "data: !!python/object/apply:os.system ['touch CANARY']",
    "a new object": "data: !!python/object/new:os.system ['touch CANARY']",
    "a name": "data: !!python/name:os.system",
    "a module": "data: !!python/module:os",
    "a call as a key": "? !!python/object/apply:os.system ['touch CANARY']\n: x",
    "a call far inside": "data: x\nsearchSpace: {a: [{b: !!python/object/apply:os.system ['touch CANARY']}]}",
    "a bomb of aliases": BOMB + "\ndata: x\ntuner: *a8\nspace: {dropout: *a8}",
    "an alias of itself": "data: x\nspace: &a {b: *a}\ntuner: [*a]",
    "nesting": "[" * DEPTH,
    "nesting of keys": "{a: " * DEPTH,
    "a number of 5,000 digits": "data: x\nseed: " + "9" * 5000,
    "an empty number": 'data: x\nseed: !!int ""',
    "no truth": "data: x\nseed: !!bool perhaps",
    "no time": "data: x\nseed: !!timestamp never",
    "month 13": "data: x\nseed: 2001-13-01",
    "two documents": "data: x\n---\ndata: y",
    "a pickle": None,
    "zeros": "\0" * 1000,
}


@pytest.mark.parametrize("reader", [TrialSettings.read, read_experiment])
@pytest.mark.parametrize("name", YAML)
def test_yaml(name: str, reader: Callable[[Path], Any], tmp_path: Path, canary: Path) -> None:
    file, text = tmp_path / "file.yml", YAML[name]
    file.write_bytes(pickle.dumps(Trap(canary)) if text is None else text.replace("CANARY", str(canary)).encode())
    assert str(file) in refused(lambda: reader(file))
