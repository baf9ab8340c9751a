"""Batches by targets: about equally many targets in each, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from easrec_nni.data import Dataset, prepare
from easrec_nni.data.batches.masked import MaskedBatches
from easrec_nni.data.batches.training import TrainingBatches


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Log of many short histories and a few long ones."""
    folder = tmp_path_factory.mktemp("uneven")
    random = np.random.default_rng(0)
    lengths = [*random.integers(4, 8, 200), *random.integers(30, 45, 30)]
    rows = [
        f"{user},{random.integers(40)},{time}" for user, length in enumerate(lengths) for time in range(int(length))
    ]
    (folder / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    return prepare(folder / "log.csv", out=folder / "prepared")


def targets_of(dataset: Dataset, batch_by: str, size: int, epoch: int = 0, length: int = 20) -> list[list[int]]:
    batches = TrainingBatches(dataset, length, size, "causal", 1, batch_by=batch_by)  # type: ignore[arg-type]
    batches.set_epoch(epoch)
    targets = [batch.targets[batch.targets != 0].tolist() for batch in batches]
    assert len(targets) == len(batches)
    return targets


def test_batches_have_about_equally_many_targets_and_every_target_once(uneven: Dataset) -> None:
    wanted = []
    for user in range(uneven.n_users):
        wanted += uneven.items[uneven.offsets[user] : uneven.offsets[user + 1]].tolist()[1:-2]
    counts = {}
    for batch_by in ("sequences", "targets"):
        targets = targets_of(uneven, batch_by, 16)
        assert sorted(sum(targets, [])) == sorted(wanted)
        counts[batch_by] = np.array([len(batch) for batch in targets])
    assert len(counts["sequences"]) == len(counts["targets"])
    longest = 20  # a sequence is not divided: a batch is off by one at each end
    assert np.abs(counts["targets"] - len(wanted) / len(counts["targets"])).max() <= longest
    assert counts["sequences"].max() > 5 * counts["sequences"].min()


@pytest.mark.parametrize("size", [1, 2, 3, 500])
def test_no_batch_is_empty_however_small(uneven: Dataset, size: int) -> None:
    targets = targets_of(uneven, "targets", size)
    assert all(targets)
    by_sequences = targets_of(uneven, "sequences", size)
    assert len(targets) == len(by_sequences)
    assert sorted(sum(targets, [])) == sorted(sum(by_sequences, []))


def test_every_epoch_has_an_order_of_its_own_which_can_be_repeated(uneven: Dataset) -> None:
    first, again, second = (targets_of(uneven, "targets", 16, epoch) for epoch in (0, 0, 1))
    assert first == again != second


def test_masked_batches_are_cut_alike(uneven: Dataset) -> None:
    sizes = [len(batch.ids) for batch in MaskedBatches(uneven, 20, 16, 1, batch_by="targets")]
    assert sum(sizes) == len(TrainingBatches(uneven, 20, 16, "causal", 1).samples.starts)
    assert max(sizes) > 2 * min(sizes)
