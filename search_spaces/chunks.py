"""Inference in chunks of similar length, with little padding and cached activations.

Networks split any batch themselves, so that callers need not choose batch sizes. On a CPU, 2,048 users of MovieLens-1M
have activations of a gigabyte per layer, which pass through main memory several times; those of a few thousand
positions stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from search_spaces.threads import run_each
from search_spaces.tracing import is_traced

__all__ = ["CACHED_VALUES", "in_chunks", "may_chunk", "split_by_positions"]

# Maximum values of a chunk's widest activation (positions times the larger of d and D): 2 MiB in float32.
CACHED_VALUES = 1 << 19


def may_chunk(training: bool) -> bool:
    """Whether chunking is possible: not with gradients, and not during tracing."""
    return not (training or torch.is_grad_enabled() or is_traced())


def in_chunks(run: Callable[[Tensor], Tensor], ids: Tensor, window: int, width: int, parallel: bool = True) -> Tensor:
    """Run a row-wise function of sequences chunk by chunk.

    Parameters
    ----------
    run
        Function from ``[b, n]`` to ``[b, d]``, n ≥ 1, independent for each row.
    ids
        ``[B, N]`` item numbers, 0 = padding, anywhere; rows without items (users without history) are allowed.
    window
        Number of newest interactions that the function uses.
    width
        Values per position in the widest layer.
    parallel
        Whether the function may be called from several threads: see :mod:`search_spaces.threads`.

    Returns
    -------
    Tensor
        ``[B, d]``, equal to ``run(ids)``.
    """
    positions = max(1, CACHED_VALUES // width)
    if ids.numel() <= min(positions, window):  # e.g. a single user
        return run(ids)
    real = ids != 0
    after = real.long().flip(1).cumsum(1).flip(1)  # [B, N] interactions from here to the end, including this one
    place = torch.arange(ids.shape[1], device=ids.device)
    visible = real & (after <= window)
    firsts = torch.where(visible, place, ids.shape[1] - 1).amin(1)  # [B] first visible column
    ends = torch.where(visible, place, 0).amax(1) + 1  # [B] end of the visible columns
    # Rows without interactions have firsts >= ends and widen no chunk; a chunk of only such rows keeps one column.
    lengths = (ends - firsts).clamp_min(1)
    order = lengths.argsort()
    pieces = []
    for begin, end in split_by_positions(lengths[order].tolist(), positions):
        rows = order[begin:end]
        last = int(ends[rows].max())
        pieces.append(ids[rows, min(int(firsts[rows].min()), last - 1) : last])
    joined = torch.cat(run_each(run, pieces) if parallel else [run(piece) for piece in pieces])
    return torch.empty_like(joined).index_copy_(0, order, joined)


def split_by_positions(lengths: Sequence[int], positions: int) -> Iterator[tuple[int, int]]:
    """Split consecutive rows, padded to their longest, into ranges of at most ``positions``.

    Yields first row and end of each range; a range has at least one row.

    Examples
    --------
    >>> list(split_by_positions([1, 2, 3, 9], 6))
    [(0, 2), (2, 3), (3, 4)]
    """
    begin, longest = 0, 0
    for row, length in enumerate(lengths):
        longest = max(longest, length)
        if row > begin and longest * (row + 1 - begin) > positions:
            yield begin, row
            begin, longest = row, length
    if len(lengths):
        yield begin, len(lengths)
