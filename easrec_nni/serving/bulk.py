"""States of users from whole histories, read in pieces through the network's blocks."""

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

__all__ = ["embed_items", "read_histories", "read_piece"]

USERS_PER_BATCH = 64


def embed_items(network: EASRecNetwork, ids: Tensor, places: Tensor | None) -> Tensor:
    """Embeddings of items at given positions, before normalisation.

    Parameters
    ----------
    network
        Network whose positions count from the start, or that has none.
    ids, places
        ``[B, T]`` item numbers (0 = padding) and position numbers from 0; the latter are ignored without positions.

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
    """Run the next piece of each user's events through all layers.

    Parameters
    ----------
    network
        Streamable network (:func:`~easrec_nni.serving.streamable.check_streamable`), in evaluation mode.
    ids
        ``[B, T]`` item numbers, T up to ``max_length``; 0 = padding, anywhere.
    places
        ``[B, T]``, number of the user's events before each event.
    products, sums
        States before the piece, ``[L, B, heads, d_h, d_h]`` and ``[L, B, heads, d_h]``.

    Returns
    -------
    newest : Tensor
        ``[B, d]`` at each user's last event of the piece; undefined for users without any.
    products, sums : Tensor
        States after the piece.
    """
    batch = replace(network.embedding.begin(ids), embedding=embed_items(network, ids, places))
    running = [
        RunningAttention(network.config.attention, matrix, vector)
        for matrix, vector in zip(products, sums, strict=True)
    ]
    newest = _stack_with(network, running)(None, batch, last_only=True)
    return (
        newest[:, 0],  # [B, 1, d] to [B, d]
        torch.stack([form.products for form in running]),
        torch.stack([form.sums for form in running]),
    )


def _stack_with(network: EASRecNetwork, running: list[RunningAttention]) -> Stack:
    """Copy of the network's layers, with shared weights, that uses running attention."""
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
    """Read whole histories, batching users whose histories have similar lengths.

    Parameters
    ----------
    network
        Network that :func:`read_piece` accepts.
    items, begins, ends
        User u's events are ``items[begins[u]:ends[u]]``, oldest first, at least one.
    store
        Called with user numbers ``[B]`` and their newest states, products and sums.
    state
        Data type of products and sums.
    """
    config = network.config
    width = config.hidden // config.heads
    piece = min(CHUNK, config.max_length)
    order = np.argsort(begins - ends, kind="stable")
    for first in range(0, len(order), USERS_PER_BATCH):
        users = order[first : first + USERS_PER_BATCH]
        products = torch.zeros(config.layers, len(users), config.heads, width, width, dtype=state)
        sums = torch.zeros(config.layers, len(users), config.heads, width, dtype=state)
        newest = torch.zeros(len(users), config.hidden)
        # Users are sorted by length, longest first, so that those who still have events are a prefix.
        for count, ids, places in _pieces(items, begins[users], ends[users], piece):
            latest, products[:, :count], sums[:, :count] = read_piece(
                network, ids, places, products[:, :count], sums[:, :count]
            )
            newest[:count] = latest
        store(users, newest, products, sums)


def _pieces(
    items: NDArray[np.integer], begins: NDArray[np.int64], ends: NDArray[np.int64], piece: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Per piece: number of users with events left, their ids ``[count, T]`` and places ``[count, T]``."""
    lengths = ends - begins
    for start in range(0, int(lengths.max(initial=0)), piece):
        count = int((lengths > start).sum())
        places = start + np.arange(min(piece, int(lengths[0]) - start))
        index = begins[:count, None] + places  # [count, T]
        ids = np.where(index < ends[:count, None], items[np.minimum(index, len(items) - 1)], 0).astype(np.int64)
        yield count, torch.from_numpy(ids), torch.from_numpy(np.broadcast_to(places, ids.shape).copy())
