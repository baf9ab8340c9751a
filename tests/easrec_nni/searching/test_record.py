"""Epoch record of a search: the weights it saves and the architecture it exports."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from easrec_nni.architecture.weights import read_weights
from easrec_nni.common.errors import UserError
from easrec_nni.searching.record import SearchRecord
from search_spaces import Choice

A = Choice(hidden_pruning=0, inner_pruning=0.5, depth=1)
B = Choice(hidden_pruning=0.5, inner_pruning=0, depth=2)


class RecordedEpochs:
    """A record fed with epochs of given architectures and figures."""

    def __init__(self, folder: Path, warmup: int = 0, monitor: str = "ndcg") -> None:
        self.now, self.epoch, self.monitor = A, 0, monitor
        self.record = SearchRecord(
            folder,
            monitor,
            3,
            weights=lambda: {"epoch": torch.tensor(float(self.epoch))},
            extra=dict,
            on_epoch=None,
            strongest=lambda: self.now,
            warmup_epochs=warmup,
            is_decided=lambda: True,
        )

    def play(self, *epochs: tuple[Choice, float]) -> SearchRecord:
        for self.now, figure in epochs:
            self.record._losses = [torch.tensor(1.0)]
            trainer: Any = SimpleNamespace(current_epoch=self.epoch, should_stop=False, sanity_checking=False)
            self.record.on_validation_end(trainer, SimpleNamespace(metrics={self.monitor: figure}))
            self.epoch += 1
        return self.record


def epoch_of(file: Path) -> float:
    return read_weights(file)["epoch"].item()


def test_the_last_architecture_is_exported_with_the_best_weights_that_it_ever_had(tmp_path: Path) -> None:
    record = RecordedEpochs(tmp_path).play((A, 0.3), (B, 0.9), (A, 0.5), (A, 0.4), (B, 0.2), (A, 0.1))
    decision = record.decision("last", {"depth": torch.tensor([0.75, 0.25])})
    assert decision.choice == A and decision.row["ndcg"] == 0.5 and epoch_of(decision.weights) == 2
    assert decision.probabilities == {"depth": [0.75, 0.25]}
    decision = record.decision("best_epoch", {})
    assert decision.choice == B and decision.row["ndcg"] == 0.9 and epoch_of(decision.weights) == 1


@pytest.mark.parametrize("rule", ["last", "best_epoch"])
def test_a_cross_entropy_decides_as_its_negative_would(rule: str, tmp_path: Path) -> None:
    """Patience, best weights and export: the cross entropy is minimised."""
    epochs = [(A, 6.1), (B, 5.2), (A, 5.9), (A, 6.0), (B, 6.3), (A, 5.95)]
    for folder, monitor, sign in ((tmp_path / "ce", "cross_entropy_full", 1), (tmp_path / "ndcg", "ndcg", -1)):
        folder.mkdir()
        recorded = RecordedEpochs(folder, monitor=monitor)
        decided = []
        for choice, value in epochs:
            record = recorded.play((choice, sign * value))
            decided.append((record.best_epoch, record.out_of_patience))
        assert decided == [(0, False), (1, False), (1, False), (1, False), (1, True), (1, True)]
        assert record.best_figure == sign * 5.2
        decision = record.decision(rule, {})
        assert decision.choice == (A if rule == "last" else B)
        assert epoch_of(decision.weights) == (2 if rule == "last" else 1)


def test_epochs_of_the_warmup_are_recorded_and_never_the_best(tmp_path: Path) -> None:
    record = RecordedEpochs(tmp_path, warmup=2).play((A, 0.9), (A, 0.8))
    assert not record.out_of_patience and not list(tmp_path.glob("*.safetensors"))
    record = RecordedEpochs(tmp_path, warmup=2).play((A, 0.9), (A, 0.8), (B, 0.1), (B, 0.2), (B, 0.1), (B, 0.1))
    assert len(record.history) == 6 and not record.out_of_patience
    for rule in ("last", "best_epoch"):
        decision = record.decision(rule, {})
        assert decision.choice == B and decision.row["epoch"] == 3


def test_a_resumed_record_goes_on_where_it_was(tmp_path: Path) -> None:
    unbroken = RecordedEpochs(tmp_path / "a")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    epochs = [(A, 0.3), (B, 0.4), (A, 0.35), (B, 0.1), (A, 0.2)]
    unbroken.play(*epochs)
    broken = RecordedEpochs(tmp_path / "b")
    state = broken.play(*epochs[:2]).state_dict()
    torch.save(state, tmp_path / "state")  # as Lightning does, read without executing anything
    resumed = RecordedEpochs(tmp_path / "b")
    resumed.epoch = 2
    resumed.record.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    resumed.play(*epochs[2:])
    for rule in ("last", "best_epoch"):
        one, other = unbroken.record.decision(rule, {}), resumed.record.decision(rule, {})
        assert one.choice == other.choice and one.row["epoch"] == other.row["epoch"]
        assert epoch_of(one.weights) == epoch_of(other.weights)


def test_an_unfinished_search_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    old = {"history": [{"epoch": 0, "ndcg": 0.3}], "best_epoch": 0, "best_score": 0.3}
    with pytest.raises(UserError, match="unfinished search of an earlier version.*--restart"):
        RecordedEpochs(tmp_path).record.load_state_dict(old)
