"""Cost, reward and evaluation record of multi-trial candidates."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.weights import save_weights
from easrec_nni.common.run_files import HISTORY_FILE
from easrec_nni.training.history import read_history, write_history
from search_spaces import Choice, SpaceConfig

__all__ = ["CandidateRecord", "epoch_cost", "log_linear_reward", "ndcg_of_chance"]


def epoch_cost(config: SpaceConfig, choice: Choice, scored_positions: float) -> float:
    """Multiply-adds of a training epoch, as a share of the largest architecture's.

    Training computes all positions of all layers, and scores items at every position with a loss. The share is that of
    a full history; the backward pass scales numerator and denominator alike. In seconds, small networks cost more than
    their share, since a training step also has work without multiply-adds.

    Parameters
    ----------
    config
        The space.
    choice
        One of its architectures.
    scored_positions
        Mean number of positions with a loss in a full history.
    """

    def madds(architecture: Choice) -> float:
        cost = architecture_cost(config, architecture)
        return cost.block_madds_per_user + cost.gate_madds_per_user + scored_positions * cost.scoring_madds_per_user

    return madds(choice) / madds(config.largest)


def ndcg_of_chance(n_items: int, k: int = 10) -> float:
    """Expected NDCG@k (full ranking) of a random order of the items.

    Examples
    --------
    >>> round(ndcg_of_chance(1682), 6)
    0.002701
    """
    return sum(1 / math.log2(rank + 1) for rank in range(1, min(k, n_items) + 1)) / n_items


def log_linear_reward(ndcg: float, cost: float, lambda_: float, n_items: int) -> float:
    r"""Reward of accuracy and cost: :math:`\ln(ndcg / ndcg_{chance}) - \lambda \cdot cost`.

    The mixed reward of MONAS (Hsu et al., arXiv 1806.10332), :math:`\alpha\,accuracy - (1 - \alpha)\,cost` with
    :math:`\alpha = 1 / (1 + \lambda)`, divided by :math:`\alpha`, and with the logarithm of the accuracy. The largest
    network's cost is thus worth lambda nats, as in Eq. 16 beside a cross entropy in nats: an architecture without cost
    may lose a factor of :math:`e^{-\lambda}` of the NDCG, whatever the NDCG's level on a dataset. The order is that of
    the weighted product :math:`ndcg \cdot e^{-\lambda \cdot cost}`.

    Parameters
    ----------
    ndcg
        NDCG@10 over the full ranking; values below chance count as chance.
    cost
        Normalised cost; 1 for the largest architecture.
    lambda_
        Trade-off between accuracy and cost.
    n_items
        Number of items in the catalogue.

    Examples
    --------
    >>> chance = ndcg_of_chance(1682)
    >>> round(log_linear_reward(10 * chance, 1.0, 0.5, 1682), 4), log_linear_reward(0.0, 0.0, 0.5, 1682)
    (1.8026, 0.0)
    """
    chance = ndcg_of_chance(n_items)
    return math.log(max(ndcg, chance) / chance) - lambda_ * cost


class CandidateRecord:
    """Record of evaluated candidates; a kill loses only the candidate in training.

    Parameters
    ----------
    folder
        Folder of ``history.csv`` (a row per candidate) and ``best.safetensors`` (weights of the highest reward).

    Attributes
    ----------
    rows
        Row of each candidate: at least ``epoch`` (its number), the three numbers of its choice, ``reward``, ``price``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / HISTORY_FILE
        self.rows: list[dict[str, float]] = [self._typed(row) for row in read_history(file)] if file.is_file() else []

    @staticmethod
    def _typed(row: dict[str, float]) -> dict[str, float]:
        return {**row, "epoch": int(row["epoch"]), "depth": int(row["depth"])}

    @staticmethod
    def choice_of(row: dict[str, float]) -> Choice:
        """Architecture of a candidate's row."""
        return Choice(hidden_pruning=row["hidden_pruning"], inner_pruning=row["inner_pruning"], depth=int(row["depth"]))

    def find(self, choice: Choice) -> dict[str, float] | None:
        """Row of an architecture, or None if it was not evaluated."""
        return next((row for row in self.rows if all(row[name] == value for name, value in choice)), None)

    @property
    def spent(self) -> float:
        """Total price of the candidates."""
        return sum(row["price"] for row in self.rows)

    @property
    def best_row(self) -> dict[str, float]:
        """Row with the highest reward; the first of equals."""
        return max(self.rows, key=lambda row: row["reward"])

    def add(self, row: dict[str, float], weights: dict[str, Tensor]) -> None:
        """Record a candidate, and save its weights if it is the best so far."""
        rows = [*self.rows, row]
        if max(rows, key=lambda candidate: candidate["reward"]) is row:
            # Weights before the row: after a kill in between, the candidate is trained again, to the same weights.
            save_weights(weights, self.folder / "best.safetensors")
        write_history(rows, self.folder / HISTORY_FILE)
        self.rows = rows
