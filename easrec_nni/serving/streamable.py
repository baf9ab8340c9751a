"""Which networks can be streamed, and the equivalent network without a window."""

from __future__ import annotations

import torch
from torch import nn

from easrec_nni.common.errors import UserError
from search_spaces import EASRecNetwork, SpaceConfig
from search_spaces.attention.running import RUNNING_FORMS

__all__ = ["check_streamable", "without_window"]

EXAMPLE = "examples/settings/streaming.yml (`easrec init` writes it)"


def check_streamable(config: SpaceConfig) -> None:
    """Check that a network's past fits in a state of constant size.

    Raises
    ------
    UserError
        The network cannot be streamed; the message names the setting to train with.
    """
    train = f"search and retrain with the settings of {EXAMPLE}"
    if not config.is_fixed:
        raise UserError("a supernet cannot be streamed: give the network of one architecture (freeze)")
    if config.direction != "causal":
        raise UserError(
            f"space.direction={config.direction!r} lets every old event attend to the new one, so that no state of "
            f"constant size exists: set direction: causal; {train}"
        )
    if config.attention not in RUNNING_FORMS:
        raise UserError(
            f"space.attention={config.attention!r} has no state of constant size: set attention to "
            f"{' or '.join(RUNNING_FORMS)}; {train}"
        )
    if config.item_width is not None:
        raise UserError(f"space.item_width={config.item_width} cannot be streamed: remove item_width; {train}")
    if config.positions == "from_end":
        raise UserError(
            "space.positions='from_end' renumbers all old events when one arrives, so that no state of constant "
            f"size exists: set positions: none (endless) or from_start (max_length positions); {train}"
        )
    if config.head != "state":
        raise UserError(
            "space.head='core' takes one softmax over the whole history and cannot be streamed: set head: state"
        )
    if config.features == "stream":
        raise UserError(
            "space.features='stream' (FDSA) has two stacks of blocks and cannot be streamed: set features "
            "to fused or none"
        )


def without_window(network: EASRecNetwork, max_length: int) -> EASRecNetwork:
    """Copy of a network with a longer window, the reference for a stream's recommendations.

    A network uses only its newest ``config.max_length`` interactions, while a stream uses all. Positions from the start
    beyond the network's last embedding row use that row, as in a stream with ``beyond="clamp"``.

    Parameters
    ----------
    network
        Streamable network (:func:`check_streamable`).
    max_length
        Window of the copy, at least the network's own.

    Returns
    -------
    EASRecNetwork
        Copy in evaluation mode.
    """
    check_streamable(network.config)
    if max_length < network.config.max_length:
        raise ValueError(f"max_length={max_length} is less than the network's own, {network.config.max_length}")
    with torch.random.fork_rng(devices=[]):
        wide = EASRecNetwork(network.config.model_copy(update={"max_length": max_length}))
    weights = dict(network.state_dict())
    name = "embedding.positions.weight"
    if name in weights:
        rows = weights[name]
        weights[name] = torch.cat([rows, rows[-1:].expand(max_length - len(rows), -1)])
    wide.load_state_dict(weights)
    wide.to(next(network.parameters()).dtype)
    evaluating: nn.Module = wide.eval()
    assert isinstance(evaluating, EASRecNetwork)
    return evaluating
