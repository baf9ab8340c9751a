"""Whole histories by pieces, through the network's own blocks, to the states that event by event would give."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces import EASRecNetwork
from search_spaces.attention import CHUNK
from search_spaces.attention.running import RunningAttention
from search_spaces.block import Block
from search_spaces.stack import Stack

__all__ = ["embedded", "read_histories", "read_piece"]

USERS_AT_ONCE = 64


def embedded(network: EASRecNetwork, ids: Tensor, places: Tensor | None) -> Tensor:
    """Embeddings before normalisation of items at given places.

    Parameters
    ----------
    network
        With positions from the start, or without.
    ids, places
        ``[B, T]`` item numbers, 0 = padding, and numbers of their positions from 0; not read without positions.

    Returns
    -------
    Tensor
        ``[B, T, d]``.
    """
    embedding = network.embedding
    features = embedding.features
    vectors: Tensor = embedding.items(ids)
    if features is not None:
        vectors = features(vectors, ids)
    if embedding.positions is not None:
        assert places is not None
        vectors = vectors + embedding.positions(places.clamp(max=embedding.config.window - 1))
    return vectors


def read_piece(
    network: EASRecNetwork, ids: Tensor, places: Tensor, products: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The next piece of each user's events through all layers.

    Parameters
    ----------
    network
        One that :func:`~easrec_nni.serving.streamable.check_streamable` takes, in evaluation mode.
    ids
        ``[B, T]``, T up to ``max_length``; 0 = padding, anywhere.
    places
        ``[B, T]``, of each event the number of events before it.
    products, sums
        States before the piece, ``[L, B, heads, d_h, d_h]`` and ``[L, B, heads, d_h]``.

    Returns
    -------
    newest : Tensor
        ``[B, d]`` at each user's last event of the piece; without meaning for users that have none.
    products, sums : Tensor
        States after it.
    """
    batch = replace(network.embedding.begin(ids), embedding=embedded(network, ids, places))
    running = [
        RunningAttention(network.config.attention, matrix, vector)
        for matrix, vector in zip(products, sums, strict=True)
    ]
    newest = _stack_with(network, running)(None, batch, last_only=True)
    return (
        newest[:, 0],
        torch.stack([form.products for form in running]),
        torch.stack([form.sums for form in running]),
    )


def _stack_with(network: EASRecNetwork, running: list[RunningAttention]) -> Stack:
    """The network's layers with another attention: the same weights and the same code."""
    assert isinstance(network.layers, Stack)
    stack = copy.copy(network.layers)
    stack._modules = dict(stack._modules)
    blocks = []
    for block, form in zip(network.blocks(), running, strict=True):
        assert isinstance(block, Block)
        blocks.append(copy.copy(block))
        blocks[-1].attention = form
    stack.blocks = torch.nn.ModuleList(blocks)
    return stack


def read_histories(
    network: EASRecNetwork,
    items: NDArray[np.integer],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    store: Callable[[NDArray[np.int64], Tensor, Tensor, Tensor], None],
    state: torch.dtype,
) -> None:
    """Read users' whole histories, users with histories of similar length together.

    Parameters
    ----------
    network
        As for :func:`read_piece`.
    items, begins, ends
        User u's events are ``items[begins[u]:ends[u]]``, one at least, oldest first.
    store
        Takes the numbers of some users, their newest states, products and sums.
    state
        Type of the sums.
    """
    config = network.config
    width = config.hidden // config.heads
    piece = min(CHUNK, config.max_length)
    order = np.argsort(begins - ends, kind="stable")
    for first in range(0, len(order), USERS_AT_ONCE):
        users = order[first : first + USERS_AT_ONCE]
        products = torch.zeros(config.layers, len(users), config.heads, width, width, dtype=state)
        sums = torch.zeros(config.layers, len(users), config.heads, width, dtype=state)
        newest = torch.zeros(len(users), config.hidden)
        # Longest first: of each piece, the users that still have events are the first ones.
        for count, ids, places in _pieces(items, begins[users], ends[users], piece):
            latest, products[:, :count], sums[:, :count] = read_piece(
                network, ids, places, products[:, :count], sums[:, :count]
            )
            newest[:count] = latest
        store(users, newest, products, sums)


def _pieces(
    items: NDArray[np.integer], begins: NDArray[np.int64], ends: NDArray[np.int64], piece: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Users that still have events, their next ones (padded on the right) and the places of these."""
    lengths = ends - begins
    for start in range(0, int(lengths.max(initial=0)), piece):
        count = int((lengths > start).sum())
        places = start + np.arange(min(piece, int(lengths[0]) - start))
        index = begins[:count, None] + places
        ids = np.where(index < ends[:count, None], items[np.minimum(index, len(items) - 1)], 0).astype(np.int64)
        yield count, torch.from_numpy(ids), torch.from_numpy(np.broadcast_to(places, ids.shape).copy())
