"""Soft selection shared by all layers and the constraint of an update (Eq. 10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["NO_TEMPERATURE", "Selection", "TemperatureSchedule"]


@dataclass(frozen=True)
class TemperatureSchedule:
    r"""Linear temperature schedule by iteration t (Table II).

    .. math:: \tau = \max(end, start - decay \cdot t)

    The paper's decay suits its ~10^3 iterations per epoch; training on whole sequences has ~10^2 and needs a larger
    one.

    Examples
    --------
    >>> round(TemperatureSchedule()(10_000), 6)
    0.5
    """

    start: float = 1.0
    end: float = 0.01
    decay: float = 0.00005

    def __post_init__(self) -> None:
        if not (self.start >= self.end > 0 and self.decay >= 0):
            raise ValueError(f"the temperature must fall from start to end > 0; got {self}")

    def __call__(self, iteration: int) -> float:
        """Temperature at iteration t."""
        return max(self.end, self.start - self.decay * iteration)


NO_TEMPERATURE = TemperatureSchedule(start=1.0, end=1.0)
"""Constant temperature 1, for methods without a temperature."""


class Selection:
    """Architecture parameters by label, and the weights last drawn from them.

    The paper draws noise per controller. As all layers share the parameters, one draw serves them all, and the same p
    and q enter the network's output and the resource constraint.

    Parameters
    ----------
    options
        Options of each choice by label, in the order of the parameters.
    noise
        Whether draws have Gumbel noise; if not, they are a softmax at the temperature (DARTS, Eq. 1).

    Attributes
    ----------
    logits
        Unconstrained ``log alpha`` and ``log beta`` by label, zero at first.
    weights
        Last draw by label, ``[options]`` each, which sum to one.
    hard
        Whether the network runs a single architecture: the argmax, or that of :meth:`only`.
    """

    def __init__(self, options: dict[str, list[Any]], noise: bool = True) -> None:
        self.options = options
        self.noise = noise
        self.logits = nn.ParameterDict(
            {label: nn.Parameter(torch.zeros(len(names))) for label, names in options.items()}
        )
        self.temperature = 1.0
        self.hard = False
        self._allowed: list[dict[str, int]] = []
        self._only: dict[str, int] = {}
        self.weights: dict[str, Tensor] = self.probabilities()

    def draw(self, differentiable: bool = True) -> dict[str, Tensor]:
        r"""Draw all weights: :math:`softmax((\log\alpha + g) / \tau)`, :math:`g = -\log(-\log u)`.

        The paper prints ``-log(-u)``, which is not defined for u in (0, 1).

        Parameters
        ----------
        differentiable
            Whether gradients flow to the logits, which steps of the network's weights do not need.
        """
        with torch.set_grad_enabled(differentiable):
            self.weights = {label: self._soften(logits) for label, logits in self.logits.items()}
        return self.weights

    def draw_evenly(self) -> dict[str, Tensor]:
        """Draw one option of each choice uniformly, as one-hot weights (paths of the warm-up)."""
        self.weights = {}
        for label, logits in self.logits.items():
            path = torch.randint(len(logits), (1,), device=logits.device)
            self.weights[label] = torch.zeros_like(logits).index_fill(0, path, 1.0)
        return self.weights

    def _soften(self, logits: Tensor) -> Tensor:
        if self.noise:
            logits = logits - torch.empty_like(logits).exponential_().log()  # -log(Exp(1)) is Gumbel-distributed
        return (logits / self.temperature).softmax(dim=-1)

    def probabilities(self) -> dict[str, Tensor]:
        """Detached softmax of the logits, without noise and temperature."""
        return {label: logits.detach().softmax(dim=-1) for label, logits in self.logits.items()}

    def entropies(self) -> dict[str, float]:
        """Entropy of the probabilities in nats, by label."""
        # + 0.0 turns the -0.0 of a single option into 0.0.
        return {label: float(torch.special.entr(p).sum()) + 0.0 for label, p in self.probabilities().items()}

    def restrict(self, architectures: Sequence[Mapping[str, int]]) -> None:
        """Restrict the argmax to some architectures, such as those within a budget.

        Draws are not restricted.

        Parameters
        ----------
        architectures
            Index of the option by label for each of them, for all labels of the architectures alike; at least one.
        """
        self._allowed = [dict(architecture) for architecture in architectures]

    def argmax(self, label: str) -> int:
        """Index of the strongest option (Eq. 18), or of that of the most probable allowed architecture."""
        if self._allowed and label in self._allowed[0]:
            return self._strongest_allowed()[label]
        return int(self.logits[label].detach().argmax())

    def _strongest_allowed(self) -> dict[str, int]:
        """Allowed architecture with the largest product of probabilities; the first of equals."""
        # The logarithm of a softmax is the logits less a constant, which is the same for all architectures.
        logits = {label: self.logits[label].detach().double().tolist() for label in self._allowed[0]}
        return max(
            self._allowed, key=lambda architecture: sum(logits[label][index] for label, index in architecture.items())
        )

    def running(self, label: str) -> int:
        """Index of the option that runs if the selection is hard."""
        return self._only[label] if label in self._only else self.argmax(label)

    @contextmanager
    def only(self, options: Mapping[str, int]) -> Iterator[None]:
        """Context with a hard selection of the given options (indices by label)."""
        before = self.hard
        self.hard, self._only = True, dict(options)
        try:
            yield
        finally:
            self.hard, self._only = before, {}

    def sample(self) -> dict[str, Any]:
        """Argmax architecture in NNI's sample format."""
        return {label: names[self.argmax(label)] for label, names in self.options.items()}
