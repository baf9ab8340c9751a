"""Evaluation of every split against a loop over log rows, targets and items."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from easrec_nni.architecture.training_settings import OptimizerSettings
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import RANKS_FILE
from easrec_nni.data import Dataset, PrepareSettings, load_dataset, prepare
from easrec_nni.data.splits import LeaveOneOut
from easrec_nni.evaluation.figures import TEST_USERS
from easrec_nni.evaluation.final import final_evaluation
from easrec_nni.evaluation.metrics import figure_standard_error
from easrec_nni.evaluation.rank_files import write_ranks
from easrec_nni.evaluation.scoring import evaluate_fully, rank_users
from easrec_nni.evaluation.selection import validation_rows
from easrec_nni.training.module import SequenceModule

PROTOCOLS = ("full", "unseen", "pop100", "pop100_recbole", "uni100")
SPLITS = ("time:60%,80%", "last:2", "leave-one-out")


class Scorer(nn.Module):
    """Network whose scores depend on the whole history, with some ties."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.table = torch.from_numpy(np.random.default_rng(3).integers(0, 60, (n_items + 1, n_items + 1))).float()
        self.table[0] = 0  # padding

    def forward(self, ids: Tensor) -> Tensor:
        return self.table[ids].sum(dim=1)


def write_log(folder: Path) -> Path:
    """Write a log of 30 users with late users, late items, repeats and equal timestamps."""
    rng = np.random.default_rng(5)
    rows = []
    for user in range(30):
        time = rng.integers(0, 40) if user % 3 else rng.integers(40, 80)
        for _ in range(rng.integers(2, 14)):
            time += rng.integers(0, 9)
            rows.append((f"u{user}", f"i{rng.integers(0, 20 + time // 6)}", time))
    lines = ["user,item,time", *(",".join(map(str, row)) for row in rows)]
    (folder / "log.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "log.csv"


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    folder = tmp_path_factory.mktemp("splits")
    log = write_log(folder)
    result = {
        split: prepare(log, folder / str(number), settings=PrepareSettings(split=split))
        for number, split in enumerate(SPLITS)
    }
    settings = PrepareSettings(split="time:60%,80%", evaluate_users=6)
    return result | {"sample": prepare(log, folder / "sample", settings=settings)}


def targets_of(dataset: Dataset, part: str) -> list[tuple[int, int, list[int], set[int]]]:
    """User, target, history and unknown items of each evaluated row, computed from the log."""
    items, times, everything = dataset.items.tolist(), dataset.times.tolist(), set(range(1, dataset.n_items + 1))
    kind, _, argument = dataset.split.resolved.partition(":")
    known, result = everything, []
    if kind == "time":
        start, test = map(int, argument.split(","))
        begin, end = (start, test) if part == "valid" else (test, math.inf)
        known = {item for item, time in zip(items, times, strict=True) if time < begin}
    for user in range(dataset.n_users):
        places = range(dataset.offsets[user], dataset.offsets[user + 1])
        if kind == "time":
            history = [items[place] for place in places if times[place] < begin]
            window = [items[place] for place in places if begin <= times[place] < end]
        else:
            k = 1 if kind == "leave-one-out" else int(argument)
            own = [items[place] for place in places]
            if len(own) <= 2 * k:
                continue
            cut = len(own) - (2 * k if part == "valid" else k)
            history, window = own[:cut], own[cut : cut + k]
        for target in dict.fromkeys(window):
            if history and target in known:
                result.append((user, target, history, everything - known))
    return result


@torch.no_grad()
def loop(network: nn.Module, dataset: Dataset, part: str, protocol: str) -> tuple[list[int], list[int]]:
    """Reference user and rank of every target."""
    users, ranks = [], []
    for row, (user, target, history, unknown) in enumerate(targets_of(dataset, part)):
        scores = network(torch.tensor([history[-5:]]))[0].tolist()
        if protocol in ("full", "unseen"):
            left_out = unknown | (set(history) if protocol == "unseen" else set())
            others = [item for item in range(1, dataset.n_items + 1) if item != target and item not in left_out]
        else:
            others = [item for item in dataset.negatives(protocol, part)[row].tolist() if item]
            assert target not in others and not unknown & set(others)
        users.append(user)
        ranks.append(1 + sum(scores[item] >= scores[target] for item in others))
    return users, ranks


def by_user(users: list[int], values: list[float]) -> float:
    """Mean over users of the mean over their targets."""
    means = [
        np.mean([value for other, value in zip(users, values, strict=True) if other == user]) for user in set(users)
    ]
    return float(np.mean(means))


@pytest.mark.parametrize("part", ["valid", "test"])
@pytest.mark.parametrize("split", SPLITS)
def test_all_rankings_are_the_loop_over_targets(datasets: dict[str, Dataset], split: str, part: str) -> None:
    dataset = datasets[split]
    network = Scorer(dataset.n_items)
    figures, ranks = evaluate_fully(network, dataset, part, 5, PROTOCOLS, max_length=5)
    for protocol in PROTOCOLS:
        users, expected = loop(network, dataset, part, protocol)
        assert ranks[protocol].tolist() == expected and dataset.split.part(part).users.tolist() == users
        recall = by_user(users, [float(rank <= 5) for rank in expected])
        ndcg = by_user(users, [1 / math.log2(1 + rank) if rank <= 5 else 0.0 for rank in expected])
        assert (figures[f"recall@5_{protocol}"], figures[f"ndcg@5_{protocol}"]) == pytest.approx((recall, ndcg))
    assert isinstance(dataset.split, LeaveOneOut) == (len(set(users)) == len(users))
    # Recall@5 of many relevant items: the share of a user's targets that is among the first five of the ranking.
    shown, catalogue, hits = set(), 0, {}
    for user, target, history, unknown in targets_of(dataset, part):
        scores = network(torch.tensor([history[-5:]]))[0].tolist()
        catalogue = dataset.n_items - len(unknown)
        best = sorted(set(range(1, dataset.n_items + 1)) - unknown, key=lambda item: (-scores[item], item))[:5]
        shown |= set(best)
        hits.setdefault(user, []).append(target in best)
    assert figures["coverage@5_full"] == pytest.approx(len(shown) / catalogue)
    # Ties count against the target there, and by the item's number here.
    assert figures["recall@5_full"] <= np.mean([np.mean(result) for result in hits.values()]) + 1e-9


def test_a_sample_has_the_ranks_of_its_users(datasets: dict[str, Dataset]) -> None:
    whole, sample = datasets["time:60%,80%"], datasets["sample"]
    again = load_dataset(sample.path, verify=True)
    users = again.evaluated_users
    assert users is not None and len(users) == 6 == len(set(users.tolist()))
    assert again.fingerprint != whole.fingerprint and again.training_counts.tolist() == whole.training_counts.tolist()
    network = Scorer(whole.n_items)
    for part in ("valid", "test"):
        rows = np.isin(whole.split.part(part).users, users)
        assert again.split.part(part).places.tolist() == whole.split.part(part).places[rows].tolist() != []
        assert again.negatives("uni100", part).shape == (rows.sum(), 100)
        expected = rank_users(network, whole, part, max_length=5, protocols=("full", "unseen"))
        result = rank_users(network, again, part, max_length=5, protocols=PROTOCOLS)
        for name in expected:
            assert result[name].tolist() == expected[name][rows].tolist()
        targets = again.split.part(part)
        for name in ("pop100", "uni100"):  # drawn for these users alone, from the same candidates
            for row, drawn in enumerate(again.negatives(name, part).tolist()):
                full = whole.negatives(name, part)[np.flatnonzero(rows)[row]].tolist()
                assert set(drawn) == set(full) and again.items[targets.places[row]] not in drawn


def test_a_damaged_sample_is_refused(datasets: dict[str, Dataset], tmp_path: Path) -> None:
    log = datasets["sample"].path.parent / "log.csv"
    folder = prepare(log, tmp_path / "sample", settings=PrepareSettings(evaluate_users=6)).path
    np.save(folder / "evaluated_users.npy", np.array([999]))
    with pytest.raises(UserError, match="evaluated_users has numbers of no user"):
        load_dataset(folder)
    (folder / "evaluated_users.npy").unlink()
    with pytest.raises(UserError, match="evaluated_users"):
        load_dataset(folder)


@pytest.mark.parametrize("split", SPLITS)
def test_users_and_not_targets_are_divided_between_the_roles(datasets: dict[str, Dataset], split: str) -> None:
    targets = datasets[split].split.valid
    arch, select = validation_rows(datasets[split], 0.5)
    assert sorted([*arch.tolist(), *select.tolist()]) == list(range(len(targets)))
    groups = [set(targets.users[rows].tolist()) for rows in (arch, select)]
    assert not groups[0] & groups[1] and abs(len(groups[0]) - len(groups[1])) <= 1


@pytest.mark.parametrize("split", SPLITS)
def test_the_end_of_a_run_has_means_and_errors_over_users(
    datasets: dict[str, Dataset], split: str, tmp_path: Path
) -> None:
    dataset = datasets[split]
    network = Scorer(dataset.n_items)
    figures, ranks = final_evaluation(network, dataset, 0.5)
    _, rows = validation_rows(dataset, 0.5)
    users, result = loop_at_one(network, dataset)
    chosen = [users[row] for row in rows]
    gains = [1 / math.log2(1 + result[row]) if result[row] <= 10 else 0.0 for row in rows]
    selection = figures["valid_selection_users"]
    assert selection["ndcg@10_full"] == pytest.approx(by_user(chosen, gains))
    means = [np.mean([g for u, g in zip(chosen, gains, strict=True) if u == user]) for user in sorted(set(chosen))]
    error = np.std(means, ddof=1) / math.sqrt(len(means))
    assert selection["ndcg@10_full_standard_error"] == pytest.approx(error)
    write_ranks(ranks, tmp_path / RANKS_FILE)
    with np.load(tmp_path / RANKS_FILE) as arrays:
        assert (TEST_USERS in arrays.files) == (split != "leave-one-out")
        if TEST_USERS in arrays.files:
            assert arrays[TEST_USERS].tolist() == dataset.split.test.users.tolist()
    assert figure_standard_error({"full": np.array([1, 1, 99])}, "ndcg@10_full", np.array([4, 4, 2])) == 0.5


def loop_at_one(network: nn.Module, dataset: Dataset) -> tuple[list[int], list[int]]:
    """Validation users and full ranks of a network without a declared context length (1)."""
    users, ranks = [], []
    for user, target, history, unknown in targets_of(dataset, "valid"):
        scores = network(torch.tensor([history[-1:]]))[0].tolist()
        others = [item for item in range(1, dataset.n_items + 1) if item != target and item not in unknown]
        users.append(user)
        ranks.append(1 + sum(scores[item] >= scores[target] for item in others))
    return users, ranks


@pytest.mark.parametrize("split", SPLITS)
def test_an_epoch_is_judged_by_users(datasets: dict[str, Dataset], split: str) -> None:
    from easrec_nni.data.batches.evaluation import EvaluationBatches

    dataset = datasets[split]
    network, (_, rows) = Scorer(dataset.n_items), validation_rows(dataset, 0.5)
    module: Any = SequenceModule(dataset, OptimizerSettings(), compared=rows)
    module.set_model(network)
    module.on_validation_epoch_start()
    for batch in EvaluationBatches(dataset, "valid", 1, 4):
        module.validation_step(batch, 0)
    module.on_validation_epoch_end()
    users, result = loop_at_one(network, dataset)
    gains = [1 / math.log2(1 + rank) if rank <= 10 else 0.0 for rank in result]
    assert module.metrics["ndcg@10_full"] == pytest.approx(by_user(users, gains))
    expected = by_user([users[row] for row in rows], [gains[row] for row in rows])
    assert module.metrics["selection_users_ndcg@10_full"] == pytest.approx(expected)
