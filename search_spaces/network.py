"""Network of a fixed configuration: embedding, layers, scoring; needs torch but not NNI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.chunks import in_chunks, may_chunk
from search_spaces.compiled import CompiledScoring
from search_spaces.config import Choice, SpaceConfig
from search_spaces.core import CoreHead
from search_spaces.embedding import Batch, SequenceEmbedding
from search_spaces.stack import make_stack

__all__ = ["EASRecNetwork"]


class EASRecNetwork(nn.Module):
    """Compact network, or baseline, of a configuration without choices.

    Parameters
    ----------
    config
        Configuration of one architecture; see :meth:`~search_spaces.SpaceConfig.compact`.

    Raises
    ------
    ValueError
        The configuration has choices, which need an :class:`~search_spaces.EASRecSpace`.

    Examples
    --------
    >>> import torch
    >>> from search_spaces import EASRecNetwork, SpaceConfig
    >>> config = SpaceConfig(n_items=50, max_length=10, hidden=16, inner=32, heads=2, layers=2)
    >>> network = EASRecNetwork(config.compact(config.largest)).eval()
    >>> network(torch.tensor([[0, 0, 3, 7], [1, 2, 3, 4]])).shape
    torch.Size([2, 51])
    """

    def __init__(self, config: SpaceConfig) -> None:
        super().__init__()
        self.config = config
        effective = config.compact(config.largest) if config.is_fixed else config
        self.embedding = SequenceEmbedding(effective)
        self.layers: nn.Module = self._make_layers(effective)
        self.narrow = nn.Linear(effective.hidden, config.item_width, bias=False) if config.item_width else None
        self.head: CoreHead | None = self._make_head(effective) if config.head == "core" else None
        self._compiled: CompiledScoring | None = None
        self.apply(_initialise)

    def _make_layers(self, config: SpaceConfig) -> nn.Module:
        if not config.is_fixed:
            raise ValueError("a network cannot have choices: give config.compact(choice), or build an EASRecSpace")
        return make_stack(config)

    def _make_head(self, config: SpaceConfig) -> CoreHead:
        return CoreHead(config)

    def forward(self, ids: Tensor) -> Tensor:
        """Scores of all items as the next item (Eq. 12).

        Parameters
        ----------
        ids
            ``[B, N]`` item numbers from 1, 0 = padding, N of any size; only the newest ``max_length`` count.

        Returns
        -------
        Tensor
            ``[B, n_items + 1]``; column i is item i, column 0 (padding) is minus infinity.
        """
        return self.score(self.newest_state(ids))

    def states(self, ids: Tensor) -> Tensor:
        """Y of Eq. 11 at every position, ``[B, N, d]``; undefined at padding.

        With CORE's head, session vectors: see :class:`~search_spaces.core.CoreHead`. With ``item_width``, Y projected
        to the width of the items.
        """
        batch = self.embedding.embed(ids)
        output: Tensor = self.layers(None, batch)
        return self._scored(output) if self.head is None else self.head(output, batch, newest_only=False)

    def _scored(self, output: Tensor) -> Tensor:
        """Output of the layers at the width of the items."""
        return output if self.narrow is None else self.narrow(output)

    def newest_state(self, ids: Tensor) -> Tensor:
        """Y at each sequence's newest interaction, or at the mask after it, ``[B, d]``.

        The last layer computes queries, W_O and its feed-forward network only at that position, also in a supernet;
        CORE's head needs all positions. Without gradients, batches are processed in chunks; see
        :mod:`search_spaces.chunks`.
        """
        ids = self.prompt(ids)
        if not may_chunk(self.training):
            return self._newest_state(ids)
        width = max(self.config.hidden, self.config.inner)
        if self._compiled is not None:  # compiled code uses torch's threads
            return in_chunks(self._compiled, ids, self.config.window, width, parallel=False)
        return in_chunks(self._newest_state, ids, self.config.window, width)

    def compile_scoring(self) -> None:
        """Use ``torch.compile`` for :meth:`newest_state` without gradients.

        Pays off from some hundred thousand users: MovieLens-1M's users through four layers (N = 200, d = 128) took 0.75
        of the time on two cores, after two minutes of compiling. Needs a C++ compiler; scores differ by rounding.
        """
        self._compiled = CompiledScoring(self._newest_state)

    def _newest_state(self, ids: Tensor) -> Tensor:
        batch = self.embedding.embed(ids)
        if self.head is not None:
            newest: Tensor = self.head(self.layers(None, batch), batch, newest_only=True)
        else:
            newest = self._scored(self._newest_output(batch))
        return newest[:, 0]

    def _newest_output(self, batch: Batch) -> Tensor:
        """Output of the layers at the newest position only, ``[B, 1, d]``."""
        output: Tensor = self.layers(None, batch, last_only=True)
        return output

    def prompt(self, ids: Tensor) -> Tensor:
        """Input for predicting the next item: the history, with a mask after it if masked."""
        return F.pad(ids, (0, 1), value=self.config.mask_token) if self.config.objective == "masked" else ids

    def score(self, states: Tensor) -> Tensor:
        """Z of Eq. 12 for states ``[..., d]``, ``[..., n_items + 1]``; minus infinity for padding."""
        scores = states @ self._item_table().T
        scores[..., 0] = -torch.inf  # in place, as a copy would take half the time of the product
        return scores

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """Item vectors ``[n_items, d]``, whose products with states are the scores.

        With CORE's head, every call in training draws a new dropout mask.

        Parameters
        ----------
        ids
            ``[k]`` item numbers, for vectors ``[k, d]``; all items by default.
        """
        if ids is None:
            return self._item_table()[1:]
        # Sparse: the gradient of these few rows is added to the dense one of the sequences' look-up, where a second
        # dense gradient would be as large as the catalogue.
        return self._vectors(F.embedding(ids, self.embedding.items.weight, sparse=True))

    def _item_table(self) -> Tensor:
        """Vectors of padding and all items, ``[n_items + 1, d]``."""
        table: Tensor = self.embedding.items.weight
        return self._vectors(table[:-1] if self.config.objective == "masked" else table)

    def _vectors(self, embeddings: Tensor) -> Tensor:
        """Vectors ``[k, d]`` that items with these embeddings are scored with."""
        return embeddings if self.head is None else self.head.vectors(embeddings)

    def freeze(self, architecture: Choice | dict[str, Any]) -> EASRecNetwork:
        """Compact network of one architecture, with its weights in this network (Eq. 18).

        Only kept dimensions are stored, also in the item embedding.

        Parameters
        ----------
        architecture
            Dictionary (``{"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 2}``), a :class:`Choice`, or NNI's
            sample (``{"pruning": "hidden25_inner50", "depth": 2}``).

        Raises
        ------
        ValueError
            The architecture is not of this space.
        """
        choice = self.config.choice(architecture)
        with torch.random.fork_rng(devices=[]):  # initialisation must not change the search's random state
            network = EASRecNetwork(self.config.compact(choice))
        network.load_state_dict({name: weight.detach().clone() for name, weight in self._sliced_weights(choice)})
        reference = self.embedding.items.weight
        return network.to(device=reference.device, dtype=reference.dtype).train(self.training)

    def _sliced_weights(self, choice: Choice) -> Iterator[tuple[str, Tensor]]:
        """Weights of an architecture, by name; here all, as there is only one."""
        yield from self.state_dict(keep_vars=True).items()

    def set_feature_tables(self, tables: Sequence[Tensor]) -> None:
        """Set the feature values of all items; the tables are saved and loaded with the weights.

        Parameters
        ----------
        tables
            ``[n_items + 1, feature_values]`` for each feature of the configuration: value numbers from 1, 0 = none;
            row 0 (padding) has none.

        Raises
        ------
        ValueError
            The network has no features, or a table does not fit it.
        """
        if self.embedding.features is None:
            raise ValueError("this network has no item features: set features='fused' or 'stream' in its configuration")
        self.embedding.features.set_tables(tables)

    def weights(self) -> dict[str, Tensor]:
        """Weights for saving, by the names that they have without a strategy's wrappers."""
        return {name.replace("origin.", ""): weight for name, weight in self.state_dict().items()}

    def blocks(self) -> list[nn.Module]:
        """Block or candidates of each layer, without the wrappers of a strategy."""
        layers: Any = getattr(self.layers, "origin", self.layers)
        return [getattr(block, "origin", block) for block in layers.blocks]


def _initialise(module: nn.Module) -> None:
    """Initialise dense layers (Xavier, the paper's [45]) and embeddings (N(0, 0.02))."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
        if module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
