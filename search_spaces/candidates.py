"""Candidate transformers of one layer, with independent or shared weights (Section II-C2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from nni.nas.nn.pytorch import LayerChoice
from torch import Tensor, nn

from search_spaces.block import Block
from search_spaces.config import SpaceConfig, candidate_label
from search_spaces.embedding import Batch

__all__ = ["Candidates", "WidthMasks", "SharedCandidates", "make_candidates"]

# Candidates of less weight are skipped: outputs are normalised, so that they cannot matter.
NEGLIGIBLE_WEIGHT = 1e-9


class Candidates(LayerChoice):
    """m candidate transformers, mixed by weight after zero-padding to one width (Eq. 11).

    Each candidate is a separate block, as in the paper. All layers have the label ``pruning``, so that they share one
    choice.
    """

    def __init__(self, config: SpaceConfig, modules: dict[str, nn.Module]) -> None:
        super().__init__(modules, label="pruning")
        self.width = config.hidden
        self.widths = [
            (config.hidden_width(candidate.hidden_pruning), config.inner_width(candidate.inner_pruning))
            for candidate in config.candidates
        ]

    def forward(self, states: Tensor | None, batch: Batch) -> Tensor:
        """Run the largest candidate (NNI's dry run)."""
        return self.run(0, states, batch)

    def run(self, index: int, states: Tensor | None, batch: Batch) -> Tensor:
        """Run one candidate, ``[B, N, d]``: the mixture at a one-hot choice."""
        return self._pad(self._outputs([index], states, batch)[0])

    def mix(self, weights: Tensor, states: Tensor | None, batch: Batch) -> Tensor:
        """Weighted sum of all candidates' outputs.

        Parameters
        ----------
        weights
            ``[m]``, p of Eq. 10.
        states
            ``[B, N, d]``, or None in layer 1.

        Returns
        -------
        Tensor
            ``[B, N, d]``.
        """
        keep = [i for i, weight in enumerate(weights.detach().tolist()) if weight > NEGLIGIBLE_WEIGHT]
        by_width: dict[int, Tensor] = {}
        for term in self._outputs(keep, states, batch, [weights[index] for index in keep]):
            width = term.shape[-1]
            by_width[width] = by_width[width] + term if width in by_width else term
        return _padded_sum(by_width, self.width)

    def _outputs(
        self, indices: Sequence[int], states: Tensor | None, batch: Batch, factors: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        """Outputs of candidates at their own widths, each times its factor; equal blocks may share one output."""
        return [
            self[self.names[index]](states, batch, factor=None if factors is None else factors[place])
            for place, index in enumerate(indices)
        ]

    def _pad(self, output: Tensor) -> Tensor:
        return F.pad(output, (0, self.width - output.shape[-1]))

    def sliced_state(self, index: int) -> dict[str, Tensor]:
        """Weights of the compact block of one candidate."""
        block = self[self.names[index]]
        return dict(block.state_dict(keep_vars=True))


def _padded_sum(by_width: dict[int, Tensor], width: int) -> Tensor:
    """Sum of tensors ``[..., w]``, zero-padded to ``[..., width]``, computed by segments."""
    segments, begin = [], 0
    for end in sorted(by_width):
        terms = [tensor[..., begin:end] for size, tensor in by_width.items() if size >= end]
        segments.append(sum(terms[1:], terms[0]))
        begin = end
    return F.pad(segments[0] if len(segments) == 1 else torch.cat(segments, dim=-1), (0, width - begin))


class _Slice(nn.Module):
    """Candidate without weights of its own, for NNI's names and a readable ``repr``."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.hidden, self.inner = hidden, inner

    def extra_repr(self) -> str:
        return f"hidden={self.hidden}, inner={self.inner}"


class SharedCandidates(Candidates):
    """Candidates that are slices of the largest block.

    Candidates of equal hidden width share attention, gates and the first dense layer; the second dense layer's outputs,
    and queries, keys and values of all widths, are running sums. The exact mixture of nine candidates costs about as
    much as two blocks.
    """

    def __init__(self, config: SpaceConfig, layer: int) -> None:
        slices: dict[str, nn.Module] = {
            candidate_label(*candidate): _Slice(
                config.hidden_width(candidate.hidden_pruning), config.inner_width(candidate.inner_pruning)
            )
            for candidate in config.candidates
        }
        super().__init__(config, slices)
        self.block = Block(config, layer, *self.widths[0])

    def _outputs(
        self, indices: Sequence[int], states: Tensor | None, batch: Batch, factors: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        # Candidates that differ only in the width of the items are one slice, with the sum of their factors.
        factor_by_widths: dict[tuple[int, int], Tensor] = {}
        for index, factor in zip(indices, factors or (), strict=factors is not None):
            widths = self.widths[index]
            factor_by_widths[widths] = factor_by_widths[widths] + factor if widths in factor_by_widths else factor
        kept = list(dict.fromkeys(self.widths[index] for index in indices))
        outputs: list[Tensor] = []
        hidden_widths = list(dict.fromkeys(hidden for hidden, _ in kept))
        shared = self.block.shared_parts(states, batch, hidden_widths)
        for width in hidden_widths:
            inners = [inner for hidden, inner in kept if hidden == width]
            group = None if factors is None else [factor_by_widths[width, inner] for inner in inners]
            outputs += self.block.at_widths(states, batch, width, inners, group, shared)
        return outputs

    def sliced_state(self, index: int) -> dict[str, Tensor]:
        """Weights of the compact block of one candidate."""
        return self.block.sliced_state(*self.widths[index])


def make_candidates(config: SpaceConfig, layer: int) -> Candidates:
    """Build the candidates of one layer (from 1) for ``config.supernet``."""
    if config.supernet == "shared":
        return SharedCandidates(config, layer)
    blocks: dict[str, nn.Module] = {
        candidate_label(*candidate): Block(
            config, layer, config.hidden_width(candidate.hidden_pruning), config.inner_width(candidate.inner_pruning)
        )
        for candidate in config.candidates
    }
    return Candidates(config, blocks)


class WidthMasks(LayerChoice):
    """Masks of the dimensions that candidates keep (ones, then zeros), mixed like them.

    Its label is also ``pruning``, so that layers, items and item vectors share one choice. (Strategies with independent
    draws per layer treat it as one more layer.)

    Parameters
    ----------
    config
        Space with the candidates.
    widths
        Number of dimensions that each candidate keeps.
    dimensions
        Number of all dimensions, d.
    """

    def __init__(self, config: SpaceConfig, widths: Sequence[int], dimensions: int) -> None:
        placeholders: dict[str, nn.Module] = {
            candidate_label(*candidate): nn.Identity() for candidate in config.candidates
        }
        super().__init__(placeholders, label="pruning")
        self.masks = [[float(place < width) for place in range(dimensions)] for width in widths]

    @classmethod
    def of_blocks(cls, config: SpaceConfig) -> WidthMasks:
        """Masks of the hidden dimensions."""
        widths = [config.hidden_width(candidate.hidden_pruning) for candidate in config.candidates]
        return cls(config, widths, config.hidden)

    @classmethod
    def of_items(cls, config: SpaceConfig) -> WidthMasks:
        """Masks of the dimensions that items have."""
        return cls(config, [config.item_width_of(candidate) for candidate in config.candidates], config.hidden)

    def forward(self, like: Tensor) -> Tensor:
        """Mask of the largest candidate, ``[d]`` (NNI's dry run)."""
        return self.run(0, like)

    def run(self, index: int, like: Tensor) -> Tensor:
        """Mask of one candidate, ``[d]``, with the type and device of ``like``."""
        return like.new_tensor(self.masks[index])

    def mix(self, weights: Tensor, like: Tensor) -> Tensor:
        """Weighted sum of all masks, ``[d]``; weights are p of Eq. 10, ``[m]``."""
        return weights.to(like) @ like.new_tensor(self.masks)
