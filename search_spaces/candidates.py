"""The choice among candidate transformers of one layer, with weights of their own or shared (Section II-C2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from nni.nas.nn.pytorch import LayerChoice
from torch import Tensor, nn

from search_spaces.block import Block
from search_spaces.config import SpaceConfig, candidate_label
from search_spaces.embedding import Batch

__all__ = ["Candidates", "KeptDimensions", "SharedCandidates", "make_candidates"]

# A candidate with less weight than this cannot move the mixture: its output is normalised, of order 1.
NEGLIGIBLE_WEIGHT = 1e-9


class Candidates(LayerChoice):
    """m candidate transformers whose outputs are padded with zeros to one width and mixed by weight (Eq. 11).

    Each candidate is a block of its own, as in the paper. All layers carry the label ``pruning``, so that one choice
    holds for all of them.
    """

    def __init__(self, config: SpaceConfig, modules: dict[str, nn.Module]) -> None:
        super().__init__(modules, label="pruning")
        self.width = config.hidden
        self.widths = [(config.hidden_width(hidden), config.inner_width(inner)) for hidden, inner in config.candidates]

    def forward(self, states: Tensor | None, batch: Batch) -> Tensor:
        """Dry run: the largest candidate."""
        return self.run(0, states, batch)

    def run(self, index: int, states: Tensor | None, batch: Batch) -> Tensor:
        """One candidate alone, ``[B, N, d]``: what the mixture is at a one-hot choice."""
        return self._pad(self._outputs([index], states, batch)[0])

    def mix(self, weights: Tensor, states: Tensor | None, batch: Batch) -> Tensor:
        """Sum of all candidates' outputs, each times its weight.

        Parameters
        ----------
        weights
            ``[m]`` p of Eq. 10.
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
        """Outputs of candidates, each times its factor."""
        return [
            self[self.names[index]](states, batch, factor=None if factors is None else factors[place])
            for place, index in enumerate(indices)
        ]

    def _pad(self, output: Tensor) -> Tensor:
        return F.pad(output, (0, self.width - output.shape[-1]))

    def sliced_state(self, index: int) -> dict[str, Tensor]:
        """Weights of one candidate's compact block."""
        block = self[self.names[index]]
        return dict(block.state_dict(keep_vars=True))


def _padded_sum(by_width: dict[int, Tensor], width: int) -> Tensor:
    """Sum of tensors ``[..., w]``, each padded with zeros to ``[..., width]``, segment by segment."""
    segments, done = [], 0
    for end in sorted(by_width):
        reaching = [tensor[..., done:end] for size, tensor in by_width.items() if size >= end]
        segments.append(sum(reaching[1:], reaching[0]))
        done = end
    return F.pad(segments[0] if len(segments) == 1 else torch.cat(segments, dim=-1), (0, width - done))


class _Slice(nn.Module):
    """A candidate that owns no weights; keeps NNI's names and lets a person see what there is to choose."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.hidden, self.inner = hidden, inner

    def extra_repr(self) -> str:
        return f"hidden={self.hidden}, inner={self.inner}"


class SharedCandidates(Candidates):
    """Candidates that are slices of one largest block.

    Candidates of equal hidden width share attention, gates and the first dense layer, and the second dense layer's
    outputs are running sums; so are queries, keys and values of all of them. The exact mixture of nine candidates costs
    about two blocks instead of nine.
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
        of_index = None if factors is None else dict(zip(indices, factors, strict=True))
        outputs: dict[int, Tensor] = {}
        widths = list(dict.fromkeys(self.widths[index][0] for index in indices))
        shared = self.block.shared_parts(states, batch, widths)
        for hidden in widths:
            same = [index for index in indices if self.widths[index][0] == hidden]
            inners = [self.widths[index][1] for index in same]
            times = None if of_index is None else [of_index[index] for index in same]
            outputs.update(zip(same, self.block.at_widths(states, batch, hidden, inners, times, shared), strict=True))
        return [outputs[index] for index in indices]

    def sliced_state(self, index: int) -> dict[str, Tensor]:
        """Weights of one candidate's compact block."""
        return self.block.sliced_state(*self.widths[index])


def make_candidates(config: SpaceConfig, layer: int) -> Candidates:
    """Candidates of one layer (from 1), as ``config.supernet`` asks for."""
    if config.supernet == "shared":
        return SharedCandidates(config, layer)
    blocks: dict[str, nn.Module] = {
        candidate_label(hidden, inner): Block(config, layer, config.hidden_width(hidden), config.inner_width(inner))
        for hidden, inner in config.candidates
    }
    return Candidates(config, blocks)


class KeptDimensions(LayerChoice):
    """Which hidden dimensions the chosen candidate keeps: ones, then zeros; mixed as the candidates are.

    It bears their label, ``pruning``, so that one choice holds for the layers and for the vectors of items alike. (A
    strategy whose layers draw by themselves takes it for one more layer.)
    """

    def __init__(self, config: SpaceConfig) -> None:
        nothing: dict[str, nn.Module] = {candidate_label(*candidate): nn.Identity() for candidate in config.candidates}
        super().__init__(nothing, label="pruning")
        widths = [config.hidden_width(hidden) for hidden, _ in config.candidates]
        self.masks = [[float(place < width) for place in range(config.hidden)] for width in widths]

    def forward(self, like: Tensor) -> Tensor:
        """Dry run: the largest candidate's, ``[d]``."""
        return self.run(0, like)

    def run(self, index: int, like: Tensor) -> Tensor:
        """One candidate's, ``[d]``, of the type and on the device of ``like``."""
        return like.new_tensor(self.masks[index])

    def mix(self, weights: Tensor, like: Tensor) -> Tensor:
        """Sum of all candidates', each times its weight (``[m]``, p of Eq. 10): ``[d]``."""
        return weights.to(like) @ like.new_tensor(self.masks)
