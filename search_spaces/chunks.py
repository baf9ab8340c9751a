"""Inference in chunks of sequences of similar length: no work on padding, activations stay in a cache.

Whoever scores users need not think of batch sizes: a network cuts what it is given. On a CPU a batch of 2,048 users of
MovieLens-1M has activations of a gigabyte a layer, which wander through memory several times; chunks of a few thousand
positions do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from search_spaces.threads import run_each
from search_spaces.tracing import is_traced

__all__ = ["CACHED_VALUES", "in_chunks", "may_chunk", "runs"]

# Values of a layer's widest activation that a chunk may have, the larger of d and D for each position: 2 MiB.
CACHED_VALUES = 1 << 19


def may_chunk(training: bool) -> bool:
    """Whether sequences may be taken apart: not while gradients are wanted, and not while somebody traces."""
    return not (training or torch.is_grad_enabled() or is_traced())


def in_chunks(
    run: Callable[[Tensor], Tensor], ids: Tensor, window: int, width: int, side_by_side: bool = True
) -> Tensor:
    """Run a function of sequences that treats every row by itself, chunk by chunk.

    Parameters
    ----------
    run
        Maps ``[b, n]`` to ``[b, d]``, n ≥ 1.
    ids
        ``[B, N]`` item numbers, 0 = padding, wherever it is; a row may be padding alone (a user without history).
    window
        Newest interactions that matter.
    width
        Values that a position has in the widest layer.
    side_by_side
        Whether the function may be called from several threads: see :mod:`search_spaces.threads`.

    Returns
    -------
    Tensor
        ``[B, d]``, as ``run(ids)`` would be.
    """
    positions = max(1, CACHED_VALUES // width)
    if ids.numel() <= min(positions, window):  # a single user, as a rule: nothing to gain
        return run(ids)
    real = ids != 0
    after = real.long().flip(1).cumsum(1).flip(1)  # interactions from here to the end, this one included
    place = torch.arange(ids.shape[1], device=ids.device)
    kept = real & (after <= window)
    firsts = torch.where(kept, place, ids.shape[1] - 1).amin(1)
    ends = torch.where(kept, place, 0).amax(1) + 1
    # A row without interactions has its first after its end and widens no chunk; alone it keeps one column of padding.
    lengths = (ends - firsts).clamp_min(1)
    order = lengths.argsort()
    pieces = []
    for begin, end in runs(lengths[order].tolist(), positions):
        rows = order[begin:end]
        last = int(ends[rows].max())
        pieces.append(ids[rows, min(int(firsts[rows].min()), last - 1) : last])
    joined = torch.cat(run_each(run, pieces) if side_by_side else [run(piece) for piece in pieces])
    return torch.empty_like(joined).index_copy_(0, order, joined)


def runs(lengths: Sequence[int], positions: int) -> Iterator[tuple[int, int]]:
    """First and end of runs of rows that, padded to their longest, have so many positions at most; one row at least."""
    begin, longest = 0, 0
    for row, length in enumerate(lengths):
        longest = max(longest, length)
        if row > begin and longest * (row + 1 - begin) > positions:
            yield begin, row
            begin, longest = row, length
    if len(lengths):
        yield begin, len(lengths)
