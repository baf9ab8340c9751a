"""Latency file for tests: every part of a space, with times by formula."""

from __future__ import annotations

from typing import Any

from easrec_nni.architecture.latency import EmbeddingLatency, LatencyFile, LayerLatency
from search_spaces import SpaceConfig


def embedding_ms(hidden: int) -> float:
    """Time of embedding and scoring at a width."""
    return hidden / 16


def layer_ms(hidden: int, inner: int, gates: bool) -> float:
    """Time of a layer at all positions."""
    return 0.01 * hidden + 0.001 * inner + (0.1 if gates else 0.0)


def last_ms(hidden: int, inner: int, gates: bool) -> float:
    """Time of the last layer."""
    return layer_ms(hidden, inner, gates) / 8


def latency_file(space: SpaceConfig, **changes: Any) -> LatencyFile:
    """File of all parts of a space, with and without gates, but for what the test changes."""
    widths = [space.hidden_width(ratio) for ratio in space.hidden_pruning]
    layers = [
        LayerLatency(
            hidden=hidden,
            inner=inner,
            gates=gates,
            layer_ms_per_user=layer_ms(hidden, inner, gates),
            last_layer_ms_per_user=last_ms(hidden, inner, gates),
        )
        for hidden in widths
        for inner in map(space.inner_width, space.inner_pruning)
        for gates in (False, True)
    ]
    fields: dict[str, Any] = {
        "schema_version": 1,
        "space": SpaceConfig(**space.model_dump()),
        "dataset": {"name": "tiny", "n_users": 40, "n_items": space.n_items},
        "device": "cpu",
        "batch": 256,
        "users": 40,
        "mean_history": 4.5,
        "test_users": 40,
        "mean_test_history": 4.5,
        "threads": 1,
        "clock": "wall",
        "turns": 3,
        "embedding_and_scoring": [EmbeddingLatency(hidden=width, ms_per_user=embedding_ms(width)) for width in widths],
        "layers": layers,
    }
    return LatencyFile(**{**fields, **changes})
