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
        self.widths = [(config.hidden_width(hidden), config.inner_width(inner)) for hidden, inner in config.candidates]

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
        """Outputs of candidates at their own widths, each times its factor."""
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
            candidate_label(hidden, inner): _Slice(config.hidden_width(hidden), config.inner_width(inner))
            for hidden, inner in config.candidates
        }
        super().__init__(config, slices)
        self.block = Block(config, layer, *self.widths[0])

    def _outputs(
        self, indices: Sequence[int], states: Tensor | None, batch: Batch, factors: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        factor_by_index = None if factors is None else dict(zip(indices, factors, strict=True))
        outputs: dict[int, Tensor] = {}
        widths = list(dict.fromkeys(self.widths[index][0] for index in indices))
        shared = self.block.shared_parts(states, batch, widths)
        for hidden in widths:
            group = [index for index in indices if self.widths[index][0] == hidden]
            inners = [self.widths[index][1] for index in group]
            group_factors = None if factor_by_index is None else [factor_by_index[index] for index in group]
            outputs.update(
                zip(group, self.block.at_widths(states, batch, hidden, inners, group_factors, shared), strict=True)
            )
        return [outputs[index] for index in indices]

    def sliced_state(self, index: int) -> dict[str, Tensor]:
        """Weights of the compact block of one candidate."""
        return self.block.sliced_state(*self.widths[index])


def make_candidates(config: SpaceConfig, layer: int) -> Candidates:
    """Build the candidates of one layer (from 1) for ``config.supernet``."""
    if config.supernet == "shared":
        return SharedCandidates(config, layer)
    blocks: dict[str, nn.Module] = {
        candidate_label(hidden, inner): Block(config, layer, config.hidden_width(hidden), config.inner_width(inner))
        for hidden, inner in config.candidates
    }
    return Candidates(config, blocks)


class WidthMasks(LayerChoice):
    """Masks of the hidden dimensions that candidates keep (ones, then zeros), mixed like them.

    Its label is also ``pruning``, so that layers and item vectors share one choice. (Strategies with independent draws
    per layer treat it as one more layer.)
    """

    def __init__(self, config: SpaceConfig) -> None:
        placeholders: dict[str, nn.Module] = {
            candidate_label(*candidate): nn.Identity() for candidate in config.candidates
        }
        super().__init__(placeholders, label="pruning")
        widths = [config.hidden_width(hidden) for hidden, _ in config.candidates]
        self.masks = [[float(place < width) for place in range(config.hidden)] for width in widths]

    def forward(self, like: Tensor) -> Tensor:
        """Mask of the largest candidate, ``[d]`` (NNI's dry run)."""
        return self.run(0, like)

    def run(self, index: int, like: Tensor) -> Tensor:
        """Mask of one candidate, ``[d]``, with the type and device of ``like``."""
        return like.new_tensor(self.masks[index])

    def mix(self, weights: Tensor, like: Tensor) -> Tensor:
        """Weighted sum of all masks, ``[d]``; weights are p of Eq. 10, ``[m]``."""
        return weights.to(like) @ like.new_tensor(self.masks)
