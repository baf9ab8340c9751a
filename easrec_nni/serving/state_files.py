"""Saving and loading a stream's states as one safetensors file."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write
from easrec_nni.serving.states import UserStates
from search_spaces import EASRecNetwork

__all__ = ["SavedStates", "network_fingerprint", "read_states", "saved_settings", "write_states"]

FORMAT = 1
HEADER = "easrec_stream"  # metadata key of the JSON header
NAMES, ENDS = "user_names", "user_name_ends"  # user ids: concatenated UTF-8, and the end of each
SETTINGS = {"beyond": ("clamp", "restart"), "precision": ("double", "single"), "keep_seen": ("false", "true")}


class SavedStates(NamedTuple):
    """Contents of a file of states.

    Attributes
    ----------
    users, tensors
        Arguments of :meth:`~easrec_nni.serving.states.UserStates.replace`.
    events
        Number of events processed; in files of earlier versions, the sum of the users' counts.
    saved
        Time of writing; None in files of earlier versions.
    """

    users: list[str]
    tensors: dict[str, Tensor]
    events: int
    saved: datetime | None


def network_fingerprint(network: EASRecNetwork) -> str:
    """SHA-256 of a network's configuration and weights."""
    digest = hashlib.sha256(network.config.model_dump_json().encode())
    for name, weight in sorted(network.weights().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _header(network: EASRecNetwork, settings: dict[str, str]) -> dict[str, Any]:
    return {"format": FORMAT, "network": network_fingerprint(network), **settings}


def write_states(path: Path, states: UserStates, network: EASRecNetwork, settings: dict[str, str], events: int) -> None:
    """Write all users' states atomically.

    Parameters
    ----------
    path
        File to write.
    states
        States to write.
    network
        Network that computed them.
    settings
        Settings of the stream; reading checks that they are the same.
    events
        Number of events processed.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    users, tensors = states.export()
    names = [user.encode("utf-8", "surrogatepass") for user in users]
    text = np.frombuffer(b"".join(names), np.uint8)
    ends = np.cumsum([len(name) for name in names], dtype=np.int64)
    tensors |= {NAMES: torch.from_numpy(text.copy()), ENDS: torch.from_numpy(ends)}
    record = {"events": events, "saved": datetime.now(UTC).isoformat(timespec="seconds")}
    header = {HEADER: json.dumps(_header(network, settings) | record)}
    with atomic_write(path) as temporary:
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata=header)
        except (OSError, SafetensorError) as error:
            raise UserError(f"cannot write {path}: {error}") from None


def saved_settings(path: Path) -> dict[str, Any]:
    """Constructor options of the stream that a file was saved from.

    Raises
    ------
    UserError
        The file is damaged or holds no states.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = _read_header(file.metadata())
        if any(header.get(name) not in values for name, values in SETTINGS.items()):
            raise ValueError("unknown settings")
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    return {name: header[name] for name in SETTINGS} | {"keep_seen": header["keep_seen"] == "true"}


def read_states(path: Path, like: UserStates, network: EASRecNetwork, settings: dict[str, str]) -> SavedStates:
    """Read all users' states.

    Parameters
    ----------
    path
        File that :func:`write_states` wrote.
    like
        States of the same network, for the expected shapes and types.
    network, settings
        Network and settings that the file must match.

    Raises
    ------
    UserError
        The file is missing or damaged, or does not match the network or the settings.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: write a file of states with save")
    try:
        with safe_open(path, framework="pt") as file:
            header = _read_header(file.metadata())
            _check_header(path, header, _header(network, settings))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
        users = _users(tensors)
        tensors = _check_tensors(tensors, like, len(users))
        events, saved = header.get("events", int(tensors["counts"].sum())), header.get("saved")
        if not isinstance(events, int) or isinstance(events, bool) or events < 0:
            raise ValueError("the number of events is invalid")
        return SavedStates(users, tensors, events, None if saved is None else datetime.fromisoformat(str(saved)))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is damaged or is not a file of states ({error}): save the states again, or start over")


def _read_header(metadata: dict[str, str] | None) -> dict[str, Any]:
    header = json.loads((metadata or {}).get(HEADER, "null"))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"not of format {FORMAT}")
    return header


def _check_header(path: Path, header: dict[str, Any], expected: dict[str, Any]) -> None:
    if header.get("network") != expected["network"]:
        raise UserError(f"{path} holds states of another network: use that network, or start over")
    for name, value in expected.items():
        if header.get(name) != value:
            raise UserError(
                f"{path} was saved with {name}={str(header.get(name))[:20]!r}, this stream has {value!r}: create "
                f"the stream with the file's {name}"
            )


def _users(tensors: dict[str, Tensor]) -> list[str]:
    if tensors.keys() < {NAMES, ENDS} or tensors[NAMES].dtype != torch.uint8 or tensors[ENDS].dtype != torch.int64:
        raise ValueError("the users' ids are missing")
    text, ends = tensors.pop(NAMES).numpy().tobytes(), tensors.pop(ENDS).tolist()
    begins = [0, *ends[:-1]] if ends else []
    if sorted(ends) != ends or (ends[-1] if ends else 0) != len(text) or (begins and ends[0] < 0):
        raise ValueError("the users' ids are inconsistent")
    users = [text[begin:end].decode("utf-8", "surrogatepass") for begin, end in zip(begins, ends, strict=True)]
    if len(set(users)) != len(users):
        raise ValueError("a user occurs twice")
    return users


def _check_tensors(tensors: dict[str, Tensor], like: UserStates, users: int) -> dict[str, Tensor]:
    """Check names, types and shapes of the tensors, with one slot per user."""
    if tensors.keys() != like.tensors.keys():
        raise ValueError(f"it holds {sorted(tensors)[:9]} instead of {sorted(like.tensors)}")
    for name, expected in like.tensors.items():
        shape, axis = list(expected.shape), like.SLOT_AXIS[name]
        shape[axis] = users
        if list(tensors[name].shape) != shape or tensors[name].dtype != expected.dtype:
            raise ValueError(f"{name} is {list(tensors[name].shape)} instead of {shape}, or has another type")
        if tensors[name].is_floating_point() and not tensors[name].isfinite().all():
            raise ValueError(f"{name} has values that are not finite")
    if users and int(tensors["counts"].min()) < 1:
        raise ValueError("a user has no events")
    return tensors
