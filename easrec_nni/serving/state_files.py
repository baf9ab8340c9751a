"""States of a stream's users as one safetensors file, which cannot hold code."""

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
HEADER = "easrec_stream"  # the file's own description, JSON in its header
NAMES, ENDS = "user_names", "user_name_ends"  # ids of users: UTF-8, and where each ends
SETTINGS = {"beyond": ("clamp", "restart"), "precision": ("double", "single"), "keep_seen": ("false", "true")}


class SavedStates(NamedTuple):
    """What a file of states holds.

    Attributes
    ----------
    users, tensors
        As :meth:`~easrec_nni.serving.states.UserStates.replace` takes them.
    events
        Events that were taken; of a file of an earlier version, those that the users' counts tell.
    saved
        When the file was written; None for a file of an earlier version.
    """

    users: list[str]
    tensors: dict[str, Tensor]
    events: int
    saved: datetime | None


def network_fingerprint(network: EASRecNetwork) -> str:
    """SHA-256 over a network's configuration and weights."""
    digest = hashlib.sha256(network.config.model_dump_json().encode())
    for name, weight in sorted(network.weights().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _header(network: EASRecNetwork, settings: dict[str, str]) -> dict[str, Any]:
    return {"format": FORMAT, "network": network_fingerprint(network), **settings}


def write_states(path: Path, states: UserStates, network: EASRecNetwork, settings: dict[str, str], events: int) -> None:
    """Write all users' states, whole or not at all.

    Parameters
    ----------
    path
        File to write.
    states
        To be written.
    network
        That they are of.
    settings
        How they came about; a reader demands the same.
    events
        Number of events that were taken.

    Raises
    ------
    UserError
        The place cannot be written to.
    """
    users, tensors = states.taken()
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
    """Settings of a file's stream, as the constructor of a stream takes them.

    Raises
    ------
    UserError
        The file is damaged or holds no states.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = _read_header(file.metadata())
        if any(header.get(name) not in known for name, known in SETTINGS.items()):
            raise ValueError("its settings are not known")
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
        States of the same network, whose shapes and types are expected.
    network, settings
        That the file's are compared with.

    Raises
    ------
    UserError
        The file is missing or damaged, or of another network or other settings.
    """
    if not path.is_file():
        raise UserError(f"there is no file of states {path}: write one with save")
    try:
        with safe_open(path, framework="pt") as file:
            header = _read_header(file.metadata())
            _check_header(path, header, _header(network, settings))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
        users = _users(tensors)
        tensors = _checked(tensors, like, len(users))
        events, saved = header.get("events", int(tensors["counts"].sum())), header.get("saved")
        if not isinstance(events, int) or isinstance(events, bool) or events < 0:
            raise ValueError("its number of events is none")
        return SavedStates(users, tensors, events, None if saved is None else datetime.fromisoformat(str(saved)))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is damaged or holds no states ({error}): save them again, or begin anew")


def _read_header(metadata: dict[str, str] | None) -> dict[str, Any]:
    header = json.loads((metadata or {}).get(HEADER, "null"))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    return header


def _check_header(path: Path, header: dict[str, Any], expected: dict[str, Any]) -> None:
    if header.get("network") != expected["network"]:
        raise UserError(f"{path} holds states of another network: go on with the network they are of, or begin anew")
    for name, value in expected.items():
        if header.get(name) != value:
            raise UserError(
                f"{path} was saved with {name}={str(header.get(name))[:20]!r}, this stream has {value!r}: make the "
                f"stream with the file's {name}"
            )


def _users(tensors: dict[str, Tensor]) -> list[str]:
    if tensors.keys() < {NAMES, ENDS} or tensors[NAMES].dtype != torch.uint8 or tensors[ENDS].dtype != torch.int64:
        raise ValueError("the users' ids are missing")
    text, ends = tensors.pop(NAMES).numpy().tobytes(), tensors.pop(ENDS).tolist()
    begins = [0, *ends[:-1]] if ends else []
    if sorted(ends) != ends or (ends[-1] if ends else 0) != len(text) or (begins and ends[0] < 0):
        raise ValueError("the users' ids do not fit together")
    users = [text[begin:end].decode("utf-8", "surrogatepass") for begin, end in zip(begins, ends, strict=True)]
    if len(set(users)) != len(users):
        raise ValueError("a user comes twice")
    return users


def _checked(tensors: dict[str, Tensor], like: UserStates, users: int) -> dict[str, Tensor]:
    """Tensors of the expected names, types and shapes, with a slot for each user."""
    if tensors.keys() != like.tensors.keys():
        raise ValueError(f"it holds {sorted(tensors)[:9]} instead of {sorted(like.tensors)}")
    for name, expected in like.tensors.items():
        shape, axis = list(expected.shape), like.SLOT_AXIS[name]
        shape[axis] = users
        if list(tensors[name].shape) != shape or tensors[name].dtype != expected.dtype:
            raise ValueError(f"{name} is {list(tensors[name].shape)} instead of {shape}, or of another type")
        if tensors[name].is_floating_point() and not tensors[name].isfinite().all():
            raise ValueError(f"{name} holds numbers that are not finite")
    if users and int(tensors["counts"].min()) < 1:
        raise ValueError("a user has no events")
    return tensors
