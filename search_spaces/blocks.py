"""Forms of transformer block by their name in the configuration."""

from __future__ import annotations

from search_spaces.block import Block
from search_spaces.config import SpaceConfig
from search_spaces.pre_norm import LigrBlock, PreNormBlock

__all__ = ["BLOCKS", "make_block"]

BLOCKS: dict[str, type[Block]] = {"post_norm": Block, "pre_norm": PreNormBlock, "ligr": LigrBlock}
"""Classes of blocks, keyed by ``SpaceConfig.block``."""


def make_block(config: SpaceConfig, layer: int, hidden: int, inner: int) -> Block:
    """Build the block of a layer (from 1) in the form of the configuration."""
    return BLOCKS[config.block](config, layer, hidden, inner)
