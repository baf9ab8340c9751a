"""Candidates of a multi-trial search: what training one costs, what it is worth, and which were judged already."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.architecture.weights import save_weights
from easrec_nni.training.history import read_history, write_history
from search_spaces import Choice, SpaceConfig

__all__ = ["CandidateRecord", "epoch_cost", "log_linear_reward", "ndcg_of_chance"]


def epoch_cost(config: SpaceConfig, choice: Choice, scored_positions: float) -> float:
    """Multiply-adds of an epoch's training, as a share of the largest architecture's.

    Training computes all positions of all layers, and scores the items wherever there is a loss. The share is that of a
    full history; backward passes multiply both sides alike. In seconds small networks cost more than their
    share, as a training step has work that no multiply-add is counted for.

    Parameters
    ----------
    config
        The space.
    choice
        One of its architectures.
    scored_positions
        Positions of a full history that have a loss, on average.
    """

    def madds(architecture: Choice) -> float:
        cost = architecture_cost(config, architecture)
        return cost.block_madds_per_user + cost.gate_madds_per_user + scored_positions * cost.scoring_madds_per_user

    return madds(choice) / madds(config.largest)


def ndcg_of_chance(n_items: int, k: int = 10) -> float:
    """Expected NDCG@k, full ranking, of items in random order.

    Examples
    --------
    >>> round(ndcg_of_chance(1682), 6)
    0.002701
    """
    return sum(1 / math.log2(rank + 1) for rank in range(1, min(k, n_items) + 1)) / n_items


def log_linear_reward(ndcg: float, cost: float, lambda_: float, n_items: int) -> float:
    r"""Reward of accuracy and cost: :math:`\ln(ndcg / ndcg_{chance}) - \lambda \cdot cost`.

    The mixed reward of MONAS (Hsu et al., arXiv 1806.10332), :math:`\alpha\,accuracy - (1 - \alpha)\,cost` with
    :math:`\alpha = 1 / (1 + \lambda)` and both sides divided by :math:`\alpha`, where accuracy is taken by its
    logarithm. So a whole network's cost is worth lambda nats, as it is in Eq. 16 beside a cross entropy of nats: an
    architecture that costs nothing may lose a factor of :math:`e^{-\lambda}` of the NDCG, whatever the NDCG's level on
    a dataset. The order is the one of the weighted product :math:`ndcg \cdot e^{-\lambda \cdot cost}`.

    Parameters
    ----------
    ndcg
        Over the catalogue's full ranking. What is worse than chance counts as chance.
    cost
        Normalised, largest architecture = 1.
    lambda_
        Trade-off.
    n_items
        Items of the catalogue.

    Examples
    --------
    >>> chance = ndcg_of_chance(1682)
    >>> round(log_linear_reward(10 * chance, 1.0, 0.5, 1682), 4), log_linear_reward(0.0, 0.0, 0.5, 1682)
    (1.8026, 0.0)
    """
    chance = ndcg_of_chance(n_items)
    return math.log(max(ndcg, chance) / chance) - lambda_ * cost


class CandidateRecord:
    """Candidates that were judged, in order, kept after each one: a kill loses the one that was training.

    Parameters
    ----------
    folder
        Where ``history.csv`` is, or will be, with a row for each candidate, and ``best.safetensors`` with the weights
        of the one of the highest reward.

    Attributes
    ----------
    rows
        With at least ``epoch`` (number of the candidate), the three numbers of its choice, ``reward`` and ``price``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / "history.csv"
        self.rows: list[dict[str, float]] = [self._typed(row) for row in read_history(file)] if file.is_file() else []

    @staticmethod
    def _typed(row: dict[str, float]) -> dict[str, float]:
        return {**row, "epoch": int(row["epoch"]), "depth": int(row["depth"])}

    @staticmethod
    def choice_of(row: dict[str, float]) -> Choice:
        """The architecture of a candidate's row."""
        return Choice(hidden_pruning=row["hidden_pruning"], inner_pruning=row["inner_pruning"], depth=int(row["depth"]))

    def find(self, choice: Choice) -> dict[str, float] | None:
        """Row of an architecture, if it was judged."""
        return next((row for row in self.rows if all(row[name] == value for name, value in choice)), None)

    @property
    def spent(self) -> float:
        """Sum of the prices paid."""
        return sum(row["price"] for row in self.rows)

    @property
    def best_row(self) -> dict[str, float]:
        """The first of the highest reward."""
        return max(self.rows, key=lambda row: row["reward"])

    def add(self, row: dict[str, float], weights: dict[str, Tensor]) -> None:
        """Keep a candidate, and its weights if it is the best so far."""
        rows = [*self.rows, row]
        if max(rows, key=lambda known: known["reward"]) is row:
            # Before the row: a kill in between has the candidate trained again, to the same weights.
            save_weights(weights, self.folder / "best.safetensors")
        write_history(rows, self.folder / "history.csv")
        self.rows = rows
