"""Agreement of a front with a table, against counted pairs."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.searching.front import Front
from easrec_nni.tabular.agreement import agreement
from easrec_nni.tabular.documents import Correlation, NoiseCeiling, TableDocument
from easrec_nni.tabular.table import ArchitectureTable
from search_spaces import SpaceConfig
from tests.easrec_nni.searching.test_picking import SPACE, a_front


def table_of(front: Front, space: SpaceConfig, figures: list[list[float]], **changes: Any) -> TableDocument:
    """Table of a front's dataset with validation and test figures of its architectures, one seed."""
    names = [f"{part}_{front.figure}" for part in ("valid", "test")]
    document: dict[str, Any] = {
        "kind": "easrec architecture table",
        "schema_version": 1,
        "dataset": {"name": "d", "fingerprint": front.fingerprint, "n_users": 9, "n_items": space.n_items},
        "select_by": front.figure,
        "complete_seeds": [0],
        "noise": {},
        "settings": {},
        "space": space,
        "figures": names,
        "architectures": [{"choices": row.choice, "cost": row.cost} for row in front.architectures],
        "runs": [
            {"architecture": index, "seed": 0, "values": [values[index] for values in figures]}
            for index in range(len(front.architectures))
        ],
    }
    return TableDocument.model_validate({**document, **changes})


def random_figures(seed: int, count: int) -> list[list[float]]:
    numbers = random.Random(seed)
    return [[numbers.random() for _ in range(count)] for _ in range(2)]


def untied_front(seed: int) -> Front:
    front, numbers = a_front(seed), random.Random(seed + 100)
    rows = [row.model_copy(update={"metrics": {front.figure: numbers.random()}}) for row in front.architectures]
    return front.model_copy(update={"architectures": rows})


def tau(one: list[float], other: list[float]) -> float:
    """Concordant less discordant pairs, as a share of all; without ties."""
    signs = [(a - b) * (x - y) > 0 for (a, x), (b, y) in combinations(zip(one, other, strict=True), 2)]
    return (2 * sum(signs) - len(signs)) / len(signs)


@pytest.mark.parametrize("seed", range(4))
def test_correlations_are_those_of_counted_pairs(seed: int) -> None:
    front = untied_front(seed)
    figures = random_figures(seed, len(front.architectures))
    result = agreement(front, ArchitectureTable(table_of(front, SPACE, figures)))
    inherited = [front.accuracy(row) for row in front.architectures]
    assert result.architectures == 18
    assert result.valid.kendall == pytest.approx(tau(inherited, figures[0]))
    assert result.test.kendall == pytest.approx(tau(inherited, figures[1]))
    name = front.architectures[3].name
    assert result.gaps[name] == pytest.approx(inherited[3] / figures[0][3] - 1)


def test_lines_say_the_ceiling_and_the_largest_loss() -> None:
    front = untied_front(0)
    inherited = [front.accuracy(row) for row in front.architectures]
    figures = [[2 * value for value in inherited], inherited]
    figures[0][2] = 4 * inherited[2]
    ceiling = NoiseCeiling(
        valid_halves=Correlation(spearman=0.9, kendall=0.81),
        valid_test=Correlation(spearman=0.8, kendall=0.72),
    )
    document = table_of(front, SPACE, figures, noise={front.figure: ceiling})
    lines = agreement(front, ArchitectureTable(document)).lines()
    assert "(noise ceiling 0.81), with test 1.00 (noise ceiling 0.72)" in lines[1]
    assert lines[2].startswith("  relative to from-scratch validation, which counts other users too: median -50.0%, ")
    assert lines[2].endswith(f", lowest -75.0% ({front.architectures[2].name})")


def test_architectures_that_the_table_lacks_are_left_out() -> None:
    front = untied_front(1)
    document = table_of(front, SPACE, random_figures(1, len(front.architectures)))
    few = document.model_copy(update={"runs": document.runs[:5]})
    assert agreement(front, ArchitectureTable(few)).architectures == 5
    with pytest.raises(UserError, match="2 architectures in common, fewer than 3"):
        agreement(front, ArchitectureTable(document.model_copy(update={"runs": document.runs[:2]})))


def test_tables_of_other_data_or_figures_are_refused() -> None:
    front = untied_front(1)
    document = table_of(front, SPACE, random_figures(1, len(front.architectures)))
    other = front.model_copy(update={"fingerprint": "other"})
    with pytest.raises(UserError, match="fingerprints differ"):
        agreement(other, ArchitectureTable(document))
    with pytest.raises(UserError, match="the table has no figure 'valid_ndcg@10_unseen'"):
        agreement(front.model_copy(update={"figure": "ndcg@10_unseen"}), ArchitectureTable(document))
