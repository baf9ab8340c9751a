"""Repeated interactions against a plain loop, and the ranking that they decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.data import Dataset, prepare
from easrec_nni.data import dataset as dataset_module
from easrec_nni.data.repeats import count_repeats, suited_ranking
from easrec_nni.data.reporting import LogReporter


def repeats_by_loop(users: Iterable[int], items: Iterable[int]) -> int:
    seen: set[tuple[int, int]] = set()
    repeats = 0
    for pair in zip(users, items, strict=True):
        repeats += pair in seen
        seen.add(pair)
    return repeats


@pytest.mark.parametrize("items", [3, 50, 100_000])
def test_repeats_are_those_of_a_loop(items: int) -> None:
    rng = np.random.default_rng(items)
    users, chosen = rng.integers(0, 20, 500).astype(np.int32), rng.integers(0, items, 500).astype(np.int32)
    assert count_repeats(users, chosen) == repeats_by_loop(users.tolist(), chosen.tolist())
    assert count_repeats(users[:0], chosen[:0]) == 0


def test_the_rule_has_one_threshold() -> None:
    assert [suited_ranking(repeats, 100) for repeats in (0, 5, 6, 100)] == ["unseen", "unseen", "full", "full"]
    assert suited_ranking(0, 0) == "unseen"


class Lines(LogReporter):
    """Keeps what `prepare` says about a log."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}

    def understood(self, lines: Mapping[str, str]) -> None:
        self.lines |= lines


def dataset_with(folder: Path, repeated: int, reporter: Lines) -> Dataset:
    """30 users of 10 interactions, of whom some had the first item twice."""
    folder.mkdir()
    rows = [
        f"{u},{(7 * u + t) % 40 if t or u >= repeated else (7 * u + 1) % 40},{t}" for u in range(30) for t in range(10)
    ]
    (folder / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    return prepare(folder / "log.csv", out=folder / "prepared", reporter=reporter)


@pytest.mark.parametrize("part", [1, 25, 1 << 24])
@pytest.mark.parametrize(("repeated", "ranking"), [(0, "unseen"), (15, "unseen"), (16, "full")])
def test_a_dataset_knows_its_ranking(
    repeated: int, ranking: str, part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """15 of 300 interactions are 5 %; the parts in which they are counted have no effect."""
    monkeypatch.setattr(dataset_module, "LARGEST_PART", part)
    said = Lines()
    dataset = dataset_with(tmp_path / "data", repeated, said)
    users = np.repeat(np.arange(30), 10)
    assert repeats_by_loop(users.tolist(), dataset.items.tolist()) == repeated
    assert dataset.suited_ranking == ranking
    assert said.lines["repeats"].endswith(f"({ranking})")
