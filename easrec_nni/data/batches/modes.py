"""Training modes of sequences, and the networks that each of them can train."""

from __future__ import annotations

from typing import Literal

from easrec_nni.common.errors import UserError
from search_spaces import SpaceConfig

__all__ = ["HISTORIES", "BatchBy", "History", "Mode", "check_history", "check_mode"]

Mode = Literal["causal", "augmented", "masked"]
History = Literal["all", "newest", "overlapping"]
BatchBy = Literal["sequences", "targets"]
HISTORIES: dict[Mode, tuple[History, ...]] = {
    "causal": ("all", "newest", "overlapping"),
    "augmented": ("all",),  # every prefix of every history is a sample
    "masked": ("all", "newest"),
}
"""Parts of the histories that each mode can train on."""


def check_history(mode: Mode, history: History) -> None:
    """Refuse a history that the mode would ignore.

    Raises
    ------
    ValueError
        The mode cannot train on that history; the message has the ways out.
    """
    if history not in HISTORIES[mode]:
        modes = [name for name, histories in HISTORIES.items() if history in histories]
        raise ValueError(
            f"history: {history} is of mode: {' and '.join(modes)}, and mode is {mode}: set history: all, or mode: "
            f"{' or '.join(modes)}"
        )


def check_mode(mode: Mode, config: SpaceConfig, origin: str = "") -> None:
    """Refuse a mode whose targets the network sees, or is never asked to predict.

    Parameters
    ----------
    mode
        Training mode of the sequences.
    config
        Configuration of the network or space.
    origin
        What the message begins with, such as ``settings: ``.

    Raises
    ------
    UserError
        The mode does not suit the network; the message has the ways out.
    """
    if mode == "masked" and config.objective != "masked":
        raise UserError(
            f"{origin}mode: masked hides items from the network, which must know a mask: set space.objective: masked "
            "and space.direction: bidirectional, or another mode"
        )
    if mode == "causal" and config.objective == "masked":
        raise UserError(
            f"{origin}mode: causal predicts the item after every position, and space.objective: masked the item that "
            "is hidden at one: set mode: masked, or space.objective: next"
        )
    if mode == "causal" and config.direction != "causal":
        raise UserError(
            f"{origin}mode: causal puts a loss on every position, so that space.direction must be causal too "
            "(a bidirectional network would see the items it predicts); or set mode: augmented"
        )
