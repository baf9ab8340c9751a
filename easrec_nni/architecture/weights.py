"""Weights of networks as safetensors files, and networks made of them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import search_spaces
from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write
from search_spaces.network import EASRecNetwork

__all__ = ["load_network", "read_weights", "save_weights", "supernet_weights"]

# Names of alpha's and beta's logits in a supernet's file.
LOGITS = "logits."
KINDS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}  # of which each can be taken for another


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Weights of a safetensors file, which cannot hold code.

    Raises
    ------
    UserError
        The file is missing or no safetensors file.
    """
    if not Path(path).is_file():
        raise UserError(f"there is no weights file {path}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} is not a safetensors file ({error}); a run that was killed can be repeated") from None


def supernet_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the architecture parameters that lie beside them."""
    return {name: weight for name, weight in weights.items() if not name.startswith(LOGITS)}


def load_network(architecture: Architecture, weights: str | Path | None = None) -> EASRecNetwork:
    """The compact network of an architecture.

    Parameters
    ----------
    architecture
        What to build.
    weights
        A supernet's file (the network inherits its part), a compact network's file, or None for fresh weights.

    Raises
    ------
    UserError
        The weights belong to another space or architecture.
    """
    compact = EASRecNetwork(architecture.space.compact(architecture.choices))
    if weights is None:
        return compact
    tensors = read_weights(weights)
    is_supernet = any(name.startswith(LOGITS) for name in tensors)
    # The package imports NNI when its space is asked for: a compact network does without.
    supernet = search_spaces.EASRecSpace(architecture.space) if is_supernet else None
    network = compact if supernet is None else supernet
    tensors = supernet_weights(tensors)
    expected = network.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in expected or name not in tensors or expected[name].shape != tensors[name].shape:
            wanted = tuple(expected[name].shape) if name in expected else "no such weight"
            found = tuple(tensors[name].shape) if name in tensors else "nothing"
            raise UserError(
                f"{weights} does not fit the architecture: {name} should be {wanted}, the file has {found}; give the "
                "weights that were written beside this architecture.json"
            )
        kinds = {expected[name].dtype, tensors[name].dtype}
        if len(kinds) > 1 and not kinds <= KINDS:
            raise UserError(f"{weights} holds {name} as {tensors[name].dtype}: give weights that a training wrote")
    network.load_state_dict(tensors)
    if network.config.features != "none":
        tables = [tensor for name, tensor in network.state_dict().items() if name.endswith(".table")]
        try:
            network.set_feature_tables(tables)  # refuses values without an embedding, which no look-up would survive
        except ValueError as error:
            raise UserError(f"{weights}: {error}; give weights that a training wrote") from None
    return network if supernet is None else supernet.freeze(architecture.choices)


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights as safetensors, whole: under a temporary name first."""
    with atomic_write(path) as temporary:
        save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, temporary)
