"""Optional ``torch.compile`` of a network's scoring."""

from __future__ import annotations

import torch

from easrec_nni.common.errors import UserError
from search_spaces import EASRecNetwork

__all__ = ["compile_scoring"]


@torch.no_grad()
def compile_scoring(network: EASRecNetwork) -> None:
    """Compile a network's scoring, with a trial run that shows whether compiling works.

    Parameters
    ----------
    network
        Network; its weights may change afterwards. See :meth:`~search_spaces.EASRecNetwork.compile_scoring`.

    Raises
    ------
    UserError
        torch cannot compile on this machine.
    """
    network.compile_scoring()
    was_training = network.training
    network.eval()
    try:
        # Two short histories form one chunk for every network; chunks of a single user are never compiled.
        network.newest_state(torch.ones(2, 2, dtype=torch.int64, device=network.embedding.items.weight.device))
    except Exception as error:  # torch raises many classes, from a missing compiler to unsupported code
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"torch.compile does not work here: {reason[:200]}. It needs a C++ compiler (g++, or the one that the "
            "environment variable CXX names); leave --compile out to run without it"
        ) from None
    finally:
        network.train(was_training)
