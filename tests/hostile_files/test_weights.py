"""Weights and checkpoints."""

from __future__ import annotations

import io
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from easrec_nni.architecture.weights import load_network, read_weights
from easrec_nni.training.run_folder import RunFolder
from search_spaces import EASRecSpace
from tests.hostile_files.conftest import DEPTH, FOUND, Trap, refused


def safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


WEIGHTS = {
    "nothing": b"",
    "a header of 2^62 bytes": struct.pack("<Q", 2**62),
    "nesting": safetensors(b'{"a":' * DEPTH),
    "2^40 numbers": safetensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    "2^66 numbers": safetensors({"a": {"dtype": "F32", "shape": [2**33, 2**33], "data_offsets": [0, 4]}}, b"\0" * 4),
    "fewer than none": safetensors({"a": {"dtype": "U8", "shape": [-4], "data_offsets": [0, 4]}}, b"\0" * 4),
    "one place twice": safetensors(
        {name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for name in "ab"}, b"\0" * 4
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(WEIGHTS[name])
    assert "is not a safetensors file" in refused(lambda: read_weights(tmp_path / "w.safetensors"))


def checkpoints(canary: Path) -> dict[str, bytes]:
    """Files in place of weights or of a checkpoint, some of which execute something when they are unpickled."""
    trap = {"state_dict": Trap(canary), "pytorch-lightning_version": "2", "loops": 0, "callbacks": 0}
    files = {"a pickle": pickle.dumps(Trap(canary)), "garbage": b"no checkpoint", "nothing": b""}
    contents: dict[str, Any] = {"torch": trap, "a list": [1], "other keys": {"weights": torch.ones(2)}}
    for name, content in contents.items():
        for zipped in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=zipped)
            files[f"{name}, {'new' if zipped else 'old'} form"] = stream.getvalue()
    return files


def test_pickles_in_place_of_weights(tmp_path: Path, canary: Path) -> None:
    for content in checkpoints(canary).values():
        (tmp_path / "w.safetensors").write_bytes(content)
        refused(lambda: load_network(FOUND, tmp_path / "w.safetensors"))


def test_weights_of_another_kind(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = {name: weight.contiguous() for name, weight in EASRecSpace(FOUND.network).state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    load_network(FOUND, tmp_path / "w.safetensors")
    name = next(iter(weights))
    save_file(weights | {name: weights[name].to(torch.complex64)}, tmp_path / "w.safetensors")
    assert f"holds {name} as torch.complex64" in refused(lambda: load_network(FOUND, tmp_path / "w.safetensors"))


def test_checkpoints(tmp_path: Path, canary: Path) -> None:
    run = RunFolder.open(tmp_path / "run", {"seed": 0})
    assert run.checkpoint is None
    for content in checkpoints(canary).values():
        (run.state / "last.ckpt").write_bytes(content)
        message = refused(lambda: run.checkpoint)
        assert "last.ckpt is damaged or not a checkpoint of a run: pass --restart" in message


def test_the_state_of_a_run_that_is_damaged_can_be_begun_anew(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path / "run", {"seed": 0})
    (run.state / "request.json").write_text('{"sha256": 5, "request": []}')
    assert "--restart" in refused(lambda: RunFolder.open(tmp_path / "run", {"seed": 0}))
    assert RunFolder.open(tmp_path / "run", {"seed": 0}, restart=True).checkpoint is None
