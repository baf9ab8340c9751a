"""Teachers in tables of scores: where they teach, what, and what they leave out."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.weights import read_weights
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.retraining.teacher.store import StoredTop, open_store
from easrec_nni.retraining.teacher.table import TableTeacher
from easrec_nni.training.context import TrialContext
from easrec_nni.training.losses.soft_targets import TopTargets
from easrec_nni.training.trainer import seed_everything
from search_spaces import EASRecNetwork
from tests.easrec_nni.retraining.teacher.conftest import RETRAIN, settings_for, train


def table_for(dataset: Dataset, file: Path, users: range, per_user: int = 6) -> dict[int, dict[int, float]]:
    """Write random scores of some users' items; return them by user and item number."""
    random = np.random.default_rng(1)
    rows, scores = ["user_id,item_id,score"], {}
    for user in users:
        count = per_user - user % 3  # some have fewer rows than others
        items = random.choice(dataset.n_items, count, replace=False) + 1
        scores[user] = {int(item): round(float(random.normal()), 3) for item in items}
        rows += [f"{dataset.user_ids[user]},{dataset.item_ids[item]},{value}" for item, value in scores[user].items()]
    random.shuffle(rows[1:])
    file.write_text("\n".join(rows) + "\n")
    return scores


@pytest.mark.parametrize(("temperature", "best"), [(1.0, 100), (2.0, 100), (1.0, 3)])
def test_stored_is_the_softmax_of_a_users_rows_at_the_newest_training_position(
    temperature: float, best: int, chains: Dataset, tmp_path: Path
) -> None:
    scores = table_for(chains, tmp_path / "scores.csv", range(0, 40, 2))
    settings = settings_for(chains, {}, {"temperature": temperature, "teacher_items": best})
    context = TrialContext(settings, chains, settings.space_for(chains))
    teacher = TableTeacher(tmp_path / "scores.csv")
    for part in (None, "valid"):  # a refit teaches the same positions
        dataset = chains if part is None else chains.trained_through("valid")
        teacher.write(context, dataset, tmp_path, progress=False)
        stored = open_store(tmp_path, temperature)
        assert isinstance(stored, StoredTop)
        newest = chains.split.training_end() - 1
        covered, soft = stored.at(torch.from_numpy(newest))
        assert covered.tolist() == [user in scores for user in range(40)]
        assert len(stored.places) == len(scores) and isinstance(soft, TopTargets)
        for row, user in enumerate(sorted(scores)):
            weights = {item: math.exp(score / temperature) for item, score in scores[user].items()}
            total = sum(weights.values())
            wanted = sorted(((value / total, item) for item, value in weights.items()), reverse=True)[:best]
            pairs = zip(soft.probabilities[row].tolist(), soft.items[row].tolist(), strict=True)
            found = sorted(((value, item + 1) for value, item in pairs if value > 0), reverse=True)
            assert [item for _, item in found] == [item for _, item in wanted]
            assert [value for value, _ in found] == pytest.approx([value for value, _ in wanted], rel=1e-5)


def test_a_training_with_a_table_is_a_plain_loop(chains: Dataset, tmp_path: Path) -> None:
    scores = table_for(chains, tmp_path / "scores.csv", range(0, 40, 2))
    done = train(chains, tmp_path / "out", teacher=str(tmp_path / "scores.csv"), distillation=0.6)
    assert done.metrics["training"]["best_epoch"] > 0
    assert done.metrics["training"]["teacher"]["kind"] == "table"
    soft = {int(chains.split.training_end()[user]) - 1: rows for user, rows in scores.items()}
    seed_everything(5)
    network = EASRecNetwork(Architecture.read(tmp_path / "out" / "architecture.json").network)
    adam = torch.optim.Adam(network.parameters(), lr=RETRAIN["learning_rate"])
    batches = TrainingBatches(chains, 6, RETRAIN["batch_size"], "causal", 5)
    for epoch in range(done.metrics["training"]["best_epoch"] + 1):
        batches.set_epoch(epoch)
        for batch in batches:
            real = batch.targets != 0
            log_p = (network.states(batch.ids)[real] @ network.item_vectors().T).log_softmax(1)
            terms = F.nll_loss(log_p, batch.targets[real] - 1, reduction="none").unbind()
            assert batch.places is not None
            losses: list[Any] = []
            for row, (term, place) in enumerate(zip(terms, batch.places[real].tolist(), strict=True)):
                if place in soft:
                    items = torch.tensor(list(soft[place])) - 1
                    q = torch.tensor(list(soft[place].values())).softmax(0)
                    term = 0.4 * term - 0.6 * (q * log_p[row, items]).sum()
                losses.append(term)
            adam.zero_grad()
            torch.stack(losses).mean().backward()
            adam.step()
    written = read_weights(tmp_path / "out" / "weights.safetensors")
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(written[name], weight, rtol=1e-4, atol=1e-5)


def test_what_is_missing_is_counted(chains: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table_for(chains, tmp_path / "scores.csv", range(10), per_user=4)
    with (tmp_path / "scores.csv").open("a") as file:
        file.write("stranger,i1,1\nstranger,i2,1\nu1,unknown,2\n")
    with caplog.at_level(logging.INFO):
        TableTeacher(tmp_path / "scores.csv").check(chains, served=False)
    assert "covers the newest training position of 10 of 40 users" in caplog.text
    assert "2 rows of a user that is not in the dataset are left out" in caplog.text
    assert "1 rows of an item that is not in the dataset are left out" in caplog.text


def test_tables_that_do_not_fit_are_refused(chains: Dataset, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,item_id,score\nstranger,i1,1\n")
    with pytest.raises(UserError, match="has no row of a user with a training position, 1 rows of a user that is not"):
        train(chains, tmp_path / "out", teacher=str(tmp_path / "a.csv"))
    (tmp_path / "a.npz").write_bytes(b"\x00\x01")
    with pytest.raises(UserError):
        train(chains, tmp_path / "out", teacher=str(tmp_path / "a.npz"))
    assert not (tmp_path / "out").exists()
