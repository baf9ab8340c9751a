"""pop100_recbole against RecBole 1.2.1's own split, sampler, loaders and ranks on MovieLens-100K.

Runs where EASREC_RECBOLE names a folder with the unpacked wheel:

    pip download --no-deps recbole==1.2.1 -d FOLDER && python -m zipfile -e FOLDER/recbole-1.2.1-py3-none-any.whl FOLDER
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from easrec_nni.data import Dataset, leave_one_out
from easrec_nni.data.negatives import used_negatives
from easrec_nni.evaluation.metrics import user_gains
from easrec_nni.evaluation.ranks import sampled_ranks

PROGRAM = Path(__file__).with_name("recbole_evaluation.py")
FOLDER = os.environ.get("EASREC_RECBOLE")
ROUNDS = 12
Answers = dict[str, NDArray[np.int64]]

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="EASREC_RECBOLE names no folder with the unpacked recbole wheel"),
    pytest.mark.parametrize("part", ["valid", "test"]),
]


@pytest.fixture(scope="module")
def scores(ml100k: Dataset) -> NDArray[np.float32]:
    """Scores of the items, no two of them equal, higher for popular ones."""
    counts = np.bincount(ml100k.items, minlength=ml100k.n_items + 1)
    noisy = np.log1p(counts) + np.random.default_rng(4).normal(0, 1, len(counts))
    return noisy.argsort().argsort().astype(np.float32)


@pytest.fixture(scope="module")
def theirs(ml100k: Dataset, scores: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return answers_of(ml100k.items, ml100k.offsets, scores, tmp_path_factory.mktemp("recbole"))


def answers_of(
    items: NDArray[np.int32], offsets: NDArray[np.int64], scores: NDArray[np.float32], folder: Path
) -> Answers:
    """What RecBole makes of a log, from a process of its own."""
    given = {"items": items, "offsets": offsets, "scores": scores, "rounds": np.array(ROUNDS)}
    np.savez(folder / "in.npz", allow_pickle=False, **given)
    command = [sys.executable, str(PROGRAM), str(FOLDER), str(folder / "in.npz"), str(folder / "out.npz")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    with np.load(folder / "out.npz") as answers:
        return dict(answers)


def our_rounds(dataset: Dataset, part: str) -> NDArray[np.int64]:
    """Negatives with as many seeds, ``[rounds, E, 100]``; the first ones are the dataset's own."""
    log = dataset.items, dataset.offsets, dataset.split, dataset.n_items
    rounds = [used_negatives({}, *log, "pop100_recbole", part, 100, seed) for seed in range(ROUNDS)]
    assert rounds[0].tolist() == dataset.negatives("pop100_recbole", part).tolist()
    return np.stack(rounds).astype(np.int64)


def targets_of(dataset: Dataset, part: str) -> NDArray[np.int64]:
    split = dataset.split
    return np.asarray(dataset.items[split.valid.places if part == "valid" else split.test.places])


def distinct(rows: NDArray[np.int64]) -> list[set[int]]:
    return [set(row) - {0} for row in rows.reshape(-1, rows.shape[-1]).tolist()]


def alike(ours: list[float], theirs: list[float]) -> None:
    """Two means differ by less than four standard errors."""
    error = (np.var(ours) / len(ours) + np.var(theirs) / len(theirs)) ** 0.5
    assert abs(np.mean(ours) - np.mean(theirs)) < 4 * error, (np.mean(ours), np.mean(theirs), error)


def test_negatives_are_distributed_alike(ml100k: Dataset, theirs: Answers, part: str) -> None:
    targets = targets_of(ml100k, part)
    assert theirs[f"{part}_users"].tolist() == (ml100k.split.test.users + 1).tolist()
    assert theirs[f"{part}_targets"].tolist() == targets.tolist()
    both = [our_rounds(ml100k, part), theirs[f"{part}_negatives"]]
    for rounds in both:
        assert not (rounds == targets[None, :, None]).any()
    sets = [distinct(rounds) for rounds in both]
    counts = np.array([np.bincount([i for row in rows for i in row], minlength=ml100k.n_items + 1) for rows in sets])
    rare = counts.sum(axis=0) < 10
    table = np.hstack([counts[:, ~rare], counts[:, rare].sum(axis=1, keepdims=True)])
    p = stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue
    assert p > 1e-4
    sizes = [[float(len(row)) for row in rows] for rows in sets]
    alike(*sizes)
    # Shares are means over users, of whom each is drawn for several times.
    split, places = ml100k.split, np.asarray(ml100k.split.valid.places)
    ends = places if part == "valid" else split.test.places
    histories = [
        set(ml100k.items[ml100k.offsets[user] : end].tolist()) for user, end in zip(split.test.users, ends, strict=True)
    ]
    shares = [[len(row & histories[n % len(histories)]) / len(row) for n, row in enumerate(rows)] for rows in sets]
    differences = np.subtract(*(np.reshape(each, (ROUNDS, -1)) for each in shares))
    assert abs(differences.mean()) < 4 * differences.std() / differences.size**0.5
    print(
        f"\n{part}: {np.mean(sizes[0]):.2f} and {np.mean(sizes[1]):.2f} distinct, {np.mean(shares[0]):.4f} and "
        f"{np.mean(shares[1]):.4f} of the history, chi-square of {table.shape[1]} items p = {p:.3f}"
    )


def test_ranks_are_recboles(ml100k: Dataset, theirs: Answers, scores: NDArray[np.float32], part: str) -> None:
    targets = torch.from_numpy(targets_of(ml100k, part).astype(np.int64))
    everyone = torch.from_numpy(scores).expand(len(targets), -1)
    for negatives, ranks in zip(theirs[f"{part}_negatives"], theirs[f"{part}_ranks"], strict=True):
        # A repeat counts once: ours are distinct, RecBole's are made so where it puts scores into their places.
        rows = np.sort(negatives, axis=1)
        rows[:, 1:][rows[:, 1:] == rows[:, :-1]] = 0
        assert sampled_ranks(everyone, targets, torch.from_numpy(rows)).tolist() == ranks.tolist()
    ours = [sampled_ranks(everyone, targets, torch.from_numpy(rows)).numpy() for rows in our_rounds(ml100k, part)]
    figures = [
        [float(user_gains(each, "ndcg", 10).mean()) for each in rounds] for rounds in (ours, theirs[f"{part}_ranks"])
    ]
    alike(*figures)
    print(f"\n{part}: NDCG@10 of {ROUNDS} rounds {np.mean(figures[0]):.4f} and {np.mean(figures[1]):.4f}")


def test_neither_counts_the_first_interactions_of_users(part: str, tmp_path: Path) -> None:
    histories = [[9, 1, 2, 3, 4], [9, 5, 1, 2, 6]] * 30
    items, offsets = np.array(sum(histories, []), dtype=np.int32), np.arange(len(histories) + 1, dtype=np.int64) * 5
    theirs = answers_of(items, offsets, np.arange(10, dtype=np.float32), tmp_path)[f"{part}_negatives"]
    ours = used_negatives({}, items, offsets, leave_one_out(offsets), 9, "pop100_recbole", part, 100, 0)
    assert set(theirs.ravel()) == set(ours.ravel()) - {0} == {1, 2, 3, 4, 5, 6}
