"""torch.compile for scoring, where it pays; never required."""

from __future__ import annotations

import torch

from easrec_nni.common.errors import UserError
from search_spaces import EASRecNetwork

__all__ = ["compile_scoring"]


@torch.no_grad()
def compile_scoring(network: EASRecNetwork) -> None:
    """Have a network's scoring compiled, and find out now whether that works here.

    Parameters
    ----------
    network
        Any; its weights may change afterwards. See :meth:`~search_spaces.EASRecNetwork.compile_scoring`.

    Raises
    ------
    UserError
        torch cannot compile on this machine.
    """
    network.compile_scoring()
    was_training = network.training
    network.eval()
    try:
        # Two short histories, which are one piece for every network: a piece of a single user is never compiled.
        network.newest_state(torch.ones(2, 2, dtype=torch.int64, device=network.embedding.items.weight.device))
    except Exception as error:  # torch's own, of many classes, from a compiler's absence to its refusal
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"torch.compile does not work here: {reason[:200]}. It needs a C++ compiler (g++, or another that the "
            "environment variable CXX names); without --compile nothing is compiled"
        ) from None
    finally:
        network.train(was_training)
