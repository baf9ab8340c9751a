"""Saving weights as safetensors files, and loading networks from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import search_spaces
from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write
from search_spaces.config import SpaceConfig
from search_spaces.network import EASRecNetwork

if TYPE_CHECKING:
    from search_spaces.space import EASRecSpace

__all__ = ["load_network", "load_supernet", "read_weights", "save_weights", "supernet_weights"]

# Prefix of the names of alpha's and beta's logits in a supernet's file.
LOGITS = "logits."
FLOAT_TYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64}  # converted into each other


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of a safetensors file, a format that cannot hold code.

    Raises
    ------
    UserError
        The file is missing or is not a safetensors file.
    """
    if not Path(path).is_file():
        raise UserError(f"there is no weights file {path}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(
            f"{path} is not a safetensors file ({error}); if the run was interrupted, run it again"
        ) from None


def supernet_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a supernet without its architecture parameters."""
    return {name: weight for name, weight in weights.items() if not name.startswith(LOGITS)}


def load_network(architecture: Architecture, weights: str | Path | None = None) -> EASRecNetwork:
    """Build the compact network of an architecture and load its weights.

    Parameters
    ----------
    architecture
        Architecture to build.
    weights
        File of a supernet (the network inherits its part) or of a compact network; None: random weights.

    Raises
    ------
    UserError
        The weights belong to another space or architecture.
    """
    compact = EASRecNetwork(architecture.space.compact(architecture.choices))
    if weights is None:
        return compact
    tensors = read_weights(weights)
    if any(name.startswith(LOGITS) for name in tensors):
        return _supernet(architecture.space, tensors, weights).freeze(architecture.choices)
    _load(compact, tensors, weights)
    return compact


def load_supernet(space: SpaceConfig, weights: str | Path) -> EASRecSpace:
    """Build the supernet of a space and load its weights.

    Raises
    ------
    UserError
        The file holds no supernet, or that of another space.
    """
    tensors = read_weights(weights)
    if not any(name.startswith(LOGITS) for name in tensors):
        raise UserError(f"{weights} does not hold a supernet: give the supernet.safetensors of a one-shot search")
    return _supernet(space, tensors, weights)


def _supernet(space: SpaceConfig, tensors: dict[str, Tensor], weights: str | Path) -> EASRecSpace:
    # EASRecSpace imports NNI, which a compact network does not need.
    supernet = search_spaces.EASRecSpace(space)
    _load(supernet, supernet_weights(tensors), weights)
    return supernet


def _load(network: EASRecNetwork, tensors: dict[str, Tensor], weights: str | Path) -> None:
    """Load weights into a network if they fit it; ``weights`` is their file."""
    expected = network.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in expected or name not in tensors or expected[name].shape != tensors[name].shape:
            wanted = tuple(expected[name].shape) if name in expected else "no such weight"
            actual = tuple(tensors[name].shape) if name in tensors else "nothing"
            raise UserError(
                f"{weights} does not fit the architecture: {name} should be {wanted}, the file has {actual}; "
                "give the weights that were written beside this architecture.json"
            )
        types = {expected[name].dtype, tensors[name].dtype}
        if len(types) > 1 and not types <= FLOAT_TYPES:
            raise UserError(f"{weights} holds {name} as {tensors[name].dtype}: give weights that easrec wrote")
    network.load_state_dict(tensors)
    if network.config.features != "none":
        tables = [tensor for name, tensor in network.state_dict().items() if name.endswith(".table")]
        try:
            network.set_feature_tables(tables)  # raises for values without an embedding
        except ValueError as error:
            raise UserError(f"{weights}: {error}; give weights that easrec wrote") from None


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights to a safetensors file atomically."""
    with atomic_write(path) as temporary:
        save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, temporary)
