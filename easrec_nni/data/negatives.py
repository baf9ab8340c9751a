"""Negatives of the sampled evaluation protocols: those stored, and those evaluated with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.arrays import counts, places_between
from easrec_nni.data.recbole_negatives import draw_recbole_negatives
from easrec_nni.data.splits import LeaveOneOut, Split, Targets
from easrec_nni.data.splits.base import is_before
from easrec_nni.data.validation_negatives import with_test_targets

NEGATIVES_PER_USER = 100
STORED_PROTOCOLS = ("pop100", "uni100")
"""Popularity-sampled and uniformly sampled negatives, drawn without replacement among what the user never had."""
PROTOCOLS = (*STORED_PROTOCOLS, "pop100_recbole")
"""The stored protocols, and popularity-sampled negatives as RecBole draws them."""
PARTS = ("valid", "test")
NEGATIVES_VERSION = 2
"""Version of the negatives that are evaluated with. In 1, validation negatives were never the test target."""

_USERS_PER_CHUNK = 2048
_ROUNDS = 6
_CELLS_AT_ONCE = 1 << 22

Draw = Callable[[tuple[int, int]], NDArray[np.int64]]


@dataclass(frozen=True)
class Negatives:
    """Negatives of one protocol and part.

    Attributes
    ----------
    items : ndarray of int32, shape [R, k]
        Item numbers in the order of drawing, distinct in each row; 0 fills rows with too few candidates.
    users_short : int
        Rows that have a 0 because the user's candidates are fewer than k.
    """

    items: NDArray[np.int32]
    users_short: int


def draw_negatives(
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    split: Split,
    n_items: int,
    protocol: str,
    part: str,
    k: int = NEGATIVES_PER_USER,
    seed: int = 0,
) -> Negatives:
    """Draw the k stored negatives of every row of a part, without replacement.

    An item is drawn with a probability proportional to its weight among the items left over
    (``pop100``: its count in the training part; ``uni100``: 1). No item of the user's history and of the part is
    drawn, other targets included, and none that first appears later (``Targets.unknown_items``). Leave-one-out draws
    no item that the user ever had; `used_negatives` lets test targets into the validation negatives. Items of weight
    0 are drawn, uniformly, only when no other is left. Each row is an exact draw of that kind: rejection sampling does
    most rows, and a row that it leaves unfinished is completed by perturbing the logarithms of the weights with
    Gumbel noise.

    Parameters
    ----------
    items : ndarray of int32, shape [interactions]
        Item numbers 1..n_items in user-then-time order.
    offsets : ndarray of int64, shape [n_users + 1]
        Where each user's interactions begin and end.
    split : Split
        The split of these interactions.
    n_items : int
        Items in the catalogue, without padding.
    protocol : {"pop100", "uni100"}
        Protocol, which decides the weights.
    part : {"valid", "test"}
        Part of the split; the two are drawn independently of each other.
    k : int
        Negatives per row.
    seed : int
        Seed, 0 or more.

    Returns
    -------
    Negatives
        The item numbers and how many rows had too few candidates.

    Raises
    ------
    ValueError
        If protocol or part is none of those above.
    """
    _check(STORED_PROTOCOLS, protocol, part)
    rng = np.random.default_rng([seed, PROTOCOLS.index(protocol), PARTS.index(part)])
    training, targets = training_items(items, offsets, split), split.part(part)
    weights = _weights(training, n_items, protocol)
    if protocol == "uni100":
        candidates = np.delete(np.arange(n_items + 1), [0, *targets.unknown_items])

        def draw(shape: tuple[int, int]) -> NDArray[np.int64]:
            return candidates[rng.integers(0, len(candidates), size=shape)]
    else:

        def draw(shape: tuple[int, int]) -> NDArray[np.int64]:
            # A random training interaction has an item drawn in proportion to popularity.
            return training[rng.integers(0, len(training), size=shape)].astype(np.int64)

    items = np.asarray(items)
    result = np.zeros((len(targets), k), dtype=np.int32)
    for start in range(0, len(result), _USERS_PER_CHUNK):
        rows = slice(start, start + _USERS_PER_CHUNK)
        result[rows] = _draw_chunk(items, offsets, targets, rows, weights, draw, k, rng)
    return Negatives(result, int(np.count_nonzero(result[:, -1] == 0)) if k else 0)


def used_negatives(
    stored: Mapping[str, NDArray[np.int32]],
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    split: Split,
    n_items: int,
    protocol: str,
    part: str,
    k: int,
    seed: int,
) -> NDArray[np.int32]:
    """Negatives that a part is evaluated with.

    They depend on the history and on that part's targets, and on nothing later.

    Parameters
    ----------
    stored : mapping of str to ndarray of int32, shape [R, k]
        Negatives in the dataset's folder, by protocol and part, such as ``pop100_valid``.
    items, offsets, split, n_items
        As for `draw_negatives`.
    protocol : {"pop100", "uni100", "pop100_recbole"}
        `pop100_recbole` is not stored and drawn here, from the seed alone.
    part : {"valid", "test"}
        Part whose targets the negatives belong to.
    k, seed : int
        Number and seed of the stored negatives.

    Returns
    -------
    ndarray of int32, shape [R, k]
        Distinct items in each row, and zeros where there are fewer than k.

    Raises
    ------
    ValueError
        If protocol or part is none of those above.
    """
    _check(PROTOCOLS, protocol, part)
    stream = (seed, PROTOCOLS.index(protocol), PARTS.index(part), 1)
    if protocol not in STORED_PROTOCOLS:
        countable = is_before(split.known_ends(part), offsets)
        return draw_recbole_negatives(items, offsets, items[split.part(part).places], k, stream, countable)
    drawn = stored[f"{protocol}_{part}"]
    if part == "test" or not isinstance(split, LeaveOneOut):
        return drawn
    weights = _weights(training_items(items, offsets, split), n_items, protocol)
    return with_test_targets(drawn, items, offsets, split, weights, stream)


def _check(protocols: tuple[str, ...], protocol: str, part: str) -> None:
    if protocol not in protocols or part not in PARTS:
        raise ValueError(f"protocol must be one of {protocols} and part one of {PARTS}, not {protocol}, {part}")


def _weights(training: NDArray[np.int32], n_items: int, protocol: str) -> NDArray[np.float64]:
    """Weight of each item in the draw, ``[n_items + 1]``; 0 for padding."""
    weights = np.ones(n_items + 1) if protocol == "uni100" else counts(training, n_items + 1)
    weights[0] = 0
    return weights.astype(np.float64)


def training_items(items: NDArray[np.int32], offsets: NDArray[np.int64], split: Split) -> NDArray[np.int32]:
    """Item numbers of the training part of all users, in user-then-time order.

    Parameters
    ----------
    items, offsets, split
        As for `draw_negatives`.

    Returns
    -------
    ndarray of int32
        One number for each training interaction.
    """
    return np.asarray(items)[is_before(split.training_end(), offsets)]


def _draw_chunk(
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    targets: Targets,
    rows: slice,
    weights: NDArray[np.float64],
    draw: Draw,
    k: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    width, users = len(weights), targets.users[rows]
    begins, ends = offsets[users], targets.excluded_ends[rows]  # [B], [B]
    # One sorted key per (row, item) pair; column 0 counts as taken, so padding is never accepted.
    of_row = np.repeat(np.arange(len(users)), ends - begins)  # [H]: row of each excluded interaction
    histories = items[places_between(begins, ends)]  # [H]
    keys = np.sort(np.concatenate([of_row * width + histories, np.arange(len(users)) * width]))  # [H + B]
    negatives = np.zeros((len(users), k), dtype=np.int64)
    open_rows = np.arange(len(users))
    for round_number in range(_ROUNDS):
        if len(open_rows) == 0:
            break
        if round_number == 0:
            negatives = _first_valid(draw((len(users), k + k // 4 + 1)), keys, width, k)
        else:
            candidates = np.concatenate([negatives[open_rows], draw((len(open_rows), k // 2 + 1))], axis=1)
            negatives[open_rows] = _first_valid(candidates, _keys_of(open_rows, keys, width), width, k)
        open_rows = open_rows[negatives[open_rows, -1] == 0]
    at_once = max(1, _CELLS_AT_ONCE // width)
    for start in range(0, len(open_rows), at_once):
        _complete(negatives, open_rows[start : start + at_once], keys, targets.unknown_items, weights, rng)
    return negatives


def _keys_of(rows: NDArray[np.int64], keys: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Keys of the given rows (ascending), renumbered by the place of each row among them."""
    row, item = np.divmod(keys, width)
    place = np.minimum(np.searchsorted(rows, row), len(rows) - 1)
    is_given = rows[place] == row
    return place[is_given] * width + item[is_given]


def _first_valid(candidates: NDArray[np.int64], keys: NDArray[np.int64], width: int, k: int) -> NDArray[np.int64]:
    """First k distinct candidates of each row that are not taken, ``[B, k]``; then zeros.

    A candidate is taken if `keys` (sorted) has row times `width` plus item.
    """
    n_rows, n_candidates = candidates.shape
    # Item and place in one number: sorting these is a stable sort by item.
    shift = int(n_candidates).bit_length()
    narrow: NDArray[Any] = candidates.astype(np.int32 if width << shift < 1 << 31 else np.int64)
    packed = (narrow << shift) | np.arange(n_candidates, dtype=narrow.dtype)
    packed.sort(axis=1)
    ordered = packed >> shift  # [B, C]: candidates by item
    refused = np.zeros(candidates.shape, dtype=bool)  # [B, C], in the order of the items
    refused[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    # Few keys are looked for among many candidates, which are in the order of their keys too.
    candidate_keys = (ordered + np.arange(n_rows)[:, None] * width).ravel()  # [B * C], ascending
    positions = np.searchsorted(candidate_keys, keys)  # of equal candidates the first; the others are refused already
    taken = positions[candidate_keys[np.minimum(positions, len(candidate_keys) - 1)] == keys]
    refused.ravel()[taken] = True
    row, place = np.nonzero(refused)
    valid = np.ones(candidates.shape, dtype=bool)  # [B, C], in the order of drawing
    valid[row, packed[row, place] & ((1 << shift) - 1)] = False
    count = np.cumsum(valid, axis=1, dtype=np.int32)  # [B, C]: valid candidates up to each place
    first = np.zeros((n_rows, k), dtype=np.int64)
    first[np.arange(k) < count[:, -1:]] = candidates[valid & (count <= k)]
    return first


def _complete(
    negatives: NDArray[np.int64],
    rows: NDArray[np.int64],
    keys: NDArray[np.int64],
    unknown: NDArray[np.int64],
    weights: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Fill the zeros at the ends of `rows` with an exact draw among the items left.

    The order of log-weights with Gumbel noise is that of a draw without replacement (the Gumbel-top-k trick). It may
    follow any beginning of a row: given that beginning, the rest is a draw among the items left.
    """
    width, places = len(weights), np.arange(len(rows))
    begins, ends = np.searchsorted(keys, rows * width), np.searchsorted(keys, (rows + 1) * width)
    left = np.ones((len(rows), width), dtype=bool)  # [rows, n_items + 1]
    left[:, unknown] = False
    left[np.repeat(places, ends - begins), keys[places_between(begins, ends)] % width] = False
    left[places[:, None], negatives[rows]] = False
    row, candidates = np.nonzero(left)  # [C], [C]: all pairs of a row and an item left
    has_weight = weights[candidates] > 0
    scores = rng.gumbel(size=len(candidates))
    scores[has_weight] += np.log(weights[candidates[has_weight]])
    # Within a row, weightless items come behind all others, whatever the noise.
    ranked = candidates[np.lexsort((-scores, ~has_weight, row))]
    n_left = np.bincount(row, minlength=len(rows))  # [rows]
    firsts = np.cumsum(n_left) - n_left
    filled = np.count_nonzero(negatives[rows], axis=1)  # [rows]
    wanted = np.minimum(negatives.shape[1] - filled, n_left)
    columns = places_between(filled, filled + wanted)
    negatives[np.repeat(rows, wanted), columns] = ranked[places_between(firsts, firsts + wanted)]
