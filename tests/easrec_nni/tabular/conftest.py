"""Tables with random figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from easrec_nni.tabular.assembling import ACCURACY, FIGURES
from easrec_nni.tabular.documents import TableDocument
from easrec_nni.tabular.noise import noise_ceiling
from search_spaces import SpaceConfig

MakeTable = Callable[..., TableDocument]


def random_table(seed: int = 0, seeds: int = 3, noise: float = 0.1, ties: bool = False) -> TableDocument:
    """A table of 18 architectures whose accuracy rises with their cost, but for noise."""
    rng = np.random.default_rng(seed)
    space = SpaceConfig(
        n_items=500, hidden=16, inner=32, heads=2, layers=3, hidden_pruning=(0, 0.25, 0.5), inner_pruning=(0, 0.5)
    )
    choices = space.architectures()
    cost = np.array([c.depth * (1 - c.hidden_pruning) * (2 - c.inner_pruning) * 1e5 for c in choices])
    truth = 0.05 * np.log(cost) / np.log(cost.max()) * np.exp(noise * rng.normal(size=len(cost)))
    figures = truth[:, None, None] * np.exp(noise / 3 * rng.normal(size=(len(cost), seeds, len(FIGURES))))
    figures = np.round(figures, 3 if ties else 7)
    return TableDocument.model_validate(
        {
            "kind": "easrec architecture table",
            "schema_version": 1,
            "dataset": {"name": "random", "fingerprint": "0" * 64, "n_users": 100, "n_items": 500},
            "select_by": "ndcg@10_unseen",
            "complete_seeds": list(range(seeds)),
            "noise": {
                name: noise_ceiling(*(figures[:, :, FIGURES.index(f"{part}_{name}")] for part in ("valid", "test")))
                for name in ACCURACY
            },
            "settings": {"data": "random"},
            "space": space,
            "figures": FIGURES,
            "architectures": [
                {
                    "choices": choice,
                    "cost": {"madds_per_user": float(value), "parameters": float(round(value / 10, -3))},
                }
                for choice, value in zip(choices, cost, strict=True)
            ],
            "runs": [
                {"architecture": index, "seed": number, "values": figures[index, number].tolist(), "commit": "abc"}
                for index in range(len(choices))
                for number in range(seeds)
            ],
        }
    )


@pytest.fixture
def make_table() -> MakeTable:
    return random_table
