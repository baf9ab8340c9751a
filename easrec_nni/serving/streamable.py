"""Which networks can follow a stream of events, and what they are compared with."""

from __future__ import annotations

import torch
from torch import nn

from easrec_nni.common.errors import UserError
from search_spaces import EASRecNetwork, SpaceConfig
from search_spaces.attention.running import RUNNING_FORMS

__all__ = ["check_streamable", "without_window"]

EXAMPLE = "examples/settings/streaming.yml (`easrec init` writes it)"


def check_streamable(config: SpaceConfig) -> None:
    """Refuse a network whose past cannot be kept as a state of constant size.

    Raises
    ------
    UserError
        Says why, and which setting to train with.
    """
    train = f"search and retrain with the settings of {EXAMPLE}"
    if not config.is_fixed:
        raise UserError("this is a supernet, which cannot be streamed: give the network of one architecture (freeze)")
    if config.direction != "causal":
        raise UserError(
            f"space.direction={config.direction!r} lets every old event see the new one, so that its past cannot be "
            f"kept as a state: set direction: causal; {train}"
        )
    if config.attention not in RUNNING_FORMS:
        raise UserError(
            f"space.attention={config.attention!r} has no state of constant size: set attention to "
            f"{' or '.join(RUNNING_FORMS)}; {train}"
        )
    if config.positions == "from_end":
        raise UserError(
            "space.positions='from_end' numbers all old events anew when one arrives, so that no state of constant "
            f"size can be kept: set positions: none (endless) or from_start (max_length positions); {train}"
        )
    if config.head != "state":
        raise UserError(
            "space.head='core' adds up the history's items under one softmax and is not streamed: set head: state"
        )
    if config.features == "stream":
        raise UserError(
            "space.features='stream' (FDSA) has two stacks of blocks and is not streamed: set features: fused or none"
        )


def without_window(network: EASRecNetwork, max_length: int) -> EASRecNetwork:
    """The same network looking back on up to ``max_length`` interactions: what a stream's recommendations are equal to.

    A network looks at its newest ``config.max_length`` interactions alone, while a stream forgets nothing. Positions
    from the start that the network has no row for are those of its last row, as a stream's are (``beyond="clamp"``).

    Parameters
    ----------
    network
        One that :func:`check_streamable` takes.
    max_length
        At least the network's own.

    Returns
    -------
    EASRecNetwork
        A copy in evaluation mode.
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
