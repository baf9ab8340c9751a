"""Saving and loading states; damaged and foreign files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from easrec_nni import StreamingRecommender, UserError
from easrec_nni.serving.state_files import HEADER

USERS = ["ann", "", "Jürgen", "7"]


def filled(network: Any, **options: Any) -> StreamingRecommender:
    stream = StreamingRecommender(network, keep_seen=True, **options)
    stream.update([*USERS, "gone", *USERS], [1, 2, 3, 4, 5, 6, 7, 8, 9])
    stream.forget("gone")
    return stream


def parts(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, dict(opened.metadata())  # noqa: SIM118


@pytest.mark.parametrize("fields", [{}, {"key_norm": "column"}, {"positions": "from_start"}], ids=str)
def test_a_restored_stream_goes_on_as_the_saved_one(make_network: Any, tmp_path: Path, fields: dict[str, Any]) -> None:
    saved = filled(make_network(**fields))
    saved.save(tmp_path / "states.safetensors")
    restored = StreamingRecommender(make_network(**fields), keep_seen=True)
    restored.update("another user", 3)
    restored.load_state(tmp_path / "states.safetensors")
    assert restored.users == 4 and set(restored.states.slots) == set(USERS)
    for stream in (saved, restored):
        stream.update([*USERS, "new"], [9, 10, 11, 12, 13])
    for one, other in zip(
        saved.recommend(USERS, exclude_seen=True), restored.recommend(USERS, exclude_seen=True), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_no_users_are_states_too(make_network: Any, tmp_path: Path) -> None:
    StreamingRecommender(make_network()).save(tmp_path / "none")
    stream = StreamingRecommender(make_network())
    stream.load_state(tmp_path / "none")
    stream.update("ann", 1)
    assert stream.users == 1


def test_states_of_other_networks_and_settings_are_refused(make_network: Any, tmp_path: Path) -> None:
    file = tmp_path / "states.safetensors"
    filled(make_network()).save(file)
    with pytest.raises(UserError, match="of another network"):
        StreamingRecommender(make_network(seed=1), keep_seen=True).load_state(file)
    with pytest.raises(UserError, match="saved with keep_seen='true', this stream has 'false'"):
        StreamingRecommender(make_network()).load_state(file)
    with pytest.raises(UserError, match="precision='double'"):
        StreamingRecommender(make_network(), keep_seen=True, precision="single").load_state(file)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _rewrite(file: Path, tensors: dict[str, torch.Tensor], header: dict[str, str] | None = None) -> None:
    old, metadata = parts(file)
    save_file({name: tensor for name, tensor in (old | tensors).items()}, file, metadata=header or metadata)


DAMAGE: dict[str, Any] = {
    "cut": _cut,
    "text": lambda file: file.write_text("hello"),
    "empty": lambda file: file.write_bytes(b""),
    "no header": lambda file: _rewrite(file, {}, {"other": "x"}),
    "no JSON": lambda file: _rewrite(file, {}, {HEADER: "{"}),
    "deep JSON": lambda file: _rewrite(file, {}, {HEADER: "[" * 100_000}),
    "list": lambda file: _rewrite(file, {}, {HEADER: "[1]"}),
    "NaN": lambda file: _rewrite(file, {"newest": torch.full((4, 16), torch.nan)}),
    "shape": lambda file: _rewrite(file, {"newest": torch.zeros(4, 15)}),
    "users": lambda file: _rewrite(file, {"newest": torch.zeros(5, 16)}),
    "type": lambda file: _rewrite(file, {"counts": torch.ones(4, dtype=torch.int32)}),
    "no events": lambda file: _rewrite(file, {"counts": torch.zeros(4, dtype=torch.int64)}),
    "more": lambda file: _rewrite(file, {"other": torch.zeros(4)}),
    "ends": lambda file: _rewrite(file, {"user_name_ends": torch.tensor([3, 2, 8, 9])}),
    "too few ends": lambda file: _rewrite(file, {"user_name_ends": torch.tensor([3, 11])}),
    "negative": lambda file: _rewrite(file, {"user_name_ends": torch.tensor([-1, 3, 10, 11])}),
    "twice": lambda file: _rewrite(file, {"user_name_ends": torch.tensor([0, 0, 10, 11])}),
    "no text": lambda file: _rewrite(file, {"user_names": torch.full((11,), 255, dtype=torch.uint8)}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_refused_and_the_present_states_stay(make_network: Any, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "states.safetensors"
    stream = filled(make_network())
    stream.save(file)
    DAMAGE[damage](file)
    before = stream.recommend(USERS).scores
    with pytest.raises(UserError, match="is damaged or is not a file of states .*start over"):
        stream.load_state(file)
    np.testing.assert_array_equal(stream.recommend(USERS).scores, before)


def test_places_that_cannot_be_written_or_read(make_network: Any, tmp_path: Path) -> None:
    stream = filled(make_network())
    with pytest.raises(UserError, match="write a file of states with save"):
        stream.load_state(tmp_path / "nothing")
    with pytest.raises(UserError, match="is a folder"):
        stream.save(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        stream.save(tmp_path / "file" / "states")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
