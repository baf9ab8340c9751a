"""States of a stream's users as one safetensors file, which cannot hold code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from easrec_nni.errors import UserError
from easrec_nni.files import replacing
from easrec_nni.serving.states import UserStates
from search_spaces import EASRecSpace

__all__ = ["network_fingerprint", "read_states", "write_states"]

FORMAT = 1
HEADER = "easrec_stream"  # the file's own description, JSON in its header
NAMES, ENDS = "user_names", "user_name_ends"  # ids of users: UTF-8, and where each ends


def network_fingerprint(network: EASRecSpace) -> str:
    """SHA-256 over a network's configuration and weights."""
    digest = hashlib.sha256(network.config.model_dump_json().encode())
    for name, weight in sorted(network.weights().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _header(network: EASRecSpace, settings: dict[str, str]) -> dict[str, Any]:
    return {"format": FORMAT, "network": network_fingerprint(network), **settings}


def write_states(path: Path, states: UserStates, network: EASRecSpace, settings: dict[str, str]) -> None:
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
    header = {HEADER: json.dumps(_header(network, settings))}
    with replacing(path) as temporary:
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata=header)
        except (OSError, SafetensorError) as error:
            raise UserError(f"cannot write {path}: {error}") from None


def read_states(
    path: Path, like: UserStates, network: EASRecSpace, settings: dict[str, str]
) -> tuple[list[str], dict[str, Tensor]]:
    """Users and tensors of a file, as :meth:`~easrec_nni.serving.states.UserStates.replace` takes them.

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
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
            _check_header(path, header, _header(network, settings))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
        users = _users(tensors)
        return users, _checked(tensors, like, len(users))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged or holds no states ({error}): save them again, or begin anew") from None


def _check_header(path: Path, header: Any, expected: dict[str, Any]) -> None:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    if header.get("network") != expected["network"]:
        raise UserError(f"{path} holds states of another network: load the one it was saved with, or begin anew")
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
