"""Networks with random weights and biases, so that outputs depend on every parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from search_spaces import EASRecSpace, SpaceConfig

MakeNetwork = Callable[..., EASRecSpace]


@pytest.fixture
def make_network() -> MakeNetwork:
    """Factory of networks of one architecture from fields of a configuration."""

    def make(seed: int = 0, **fields: Any) -> EASRecSpace:
        config = {"n_items": 30, "max_length": 8, "hidden": 16, "inner": 24, "heads": 2, "layers": 3} | fields
        config |= {"min_depth": config["layers"], "hidden_pruning": (0,), "inner_pruning": (0,)}
        torch.manual_seed(seed)
        network = EASRecSpace(SpaceConfig(**({"positions": "none"} | config))).eval()
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(0.2 * torch.randn_like(weight))
            network.embedding.items.weight[0].zero_()
        return network

    return make
