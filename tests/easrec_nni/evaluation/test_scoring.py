"""One-pass evaluation: modes, memory, cut-offs, ir-measures (ranks: ``test_contract_protocols``)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import RR, R, nDCG
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.evaluation import scoring as evaluation_module
from easrec_nni.evaluation.ranking import KNOWN_PROTOCOLS as PROTOCOLS
from easrec_nni.evaluation.scoring import evaluate, evaluate_fully, evaluation_batch_size, rank_users
from easrec_nni.study.systems.item_knn import ItemKNN
from search_spaces import EASRecSpace, SpaceConfig


def network_for(dataset: Dataset, **options: Any) -> EASRecSpace:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}
    config = SpaceConfig(n_items=dataset.n_items, **sizes | options)
    network = EASRecSpace(config).freeze(config.largest)
    with torch.no_grad():
        network.embedding.items.weight[1:].normal_(0, 1)
    return network


def metrics_of(ranks: list[int], k: int, protocol: str) -> dict[str, float]:
    users = len(ranks)
    return {
        f"recall@{k}_{protocol}": sum(rank <= k for rank in ranks) / users,
        f"mrr@{k}_{protocol}": sum(1 / rank for rank in ranks if rank <= k) / users,
        f"ndcg@{k}_{protocol}": sum(1 / math.log2(1 + rank) for rank in ranks if rank <= k) / users,
    }


def test_full_and_pop100_of_the_test_set_are_the_default(tiny_dataset: Dataset) -> None:
    network = network_for(tiny_dataset)
    actual = evaluate(network, tiny_dataset)
    assert list(actual) == [
        f"{name}@10_{protocol}" for protocol in ("full", "pop100") for name in ("recall", "mrr", "ndcg")
    ]
    assert actual == evaluate(network, tiny_dataset, "test", max_length=6, k=10, protocols=("full", "pop100"))
    assert actual != evaluate(network, tiny_dataset, "valid")


@pytest.mark.parametrize("part", ["valid", "test"])
def test_one_pass_gives_all_cut_offs_and_protocols(tiny_dataset: Dataset, part: str) -> None:
    network, passes = network_for(tiny_dataset), []
    expected: dict[str, float] = {}
    for protocol in PROTOCOLS:
        one_by_one = rank_users(network, tiny_dataset, part, protocols=[protocol])[protocol].tolist()
        for k in (1, 5, 20):
            expected |= metrics_of(one_by_one, k, protocol)
    network.register_forward_hook(lambda module, inputs, output: passes.append(len(output)))
    metrics, ranks = evaluate_fully(network, tiny_dataset, part, (1, 5, 20), PROTOCOLS)
    assert sum(passes) == len(tiny_dataset.split.test.users)
    assert {name: value for name, value in metrics.items() if name in expected} == pytest.approx(expected)
    more = {f"{name}@{k}_full" for name in ("coverage", "mean_popularity") for k in (1, 5, 20)}
    assert metrics.keys() == expected.keys() | more
    assert list(ranks) == list(PROTOCOLS)
    again = rank_users(network, tiny_dataset, part, protocols=PROTOCOLS)
    assert all(ranks[protocol].tolist() == again[protocol].tolist() for protocol in PROTOCOLS)
    assert evaluate(network, tiny_dataset, part, k=(1, 5, 20), protocols=PROTOCOLS) == {
        name: metrics[name] for name in expected
    }


def test_what_is_recommended_is_counted_on_the_full_ranking_only(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(evaluation_module.Recommended, "add")  # where nobody asks for it, it must not cost anything
    metrics, ranks = evaluate_fully(network_for(tiny_dataset), tiny_dataset, "test", 10, ("pop100", "unseen"))
    assert set(ranks) == {"pop100", "unseen"} and len(metrics) == 6


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_real_scores_are_measured_as_by_ir_measures(ml100k: Dataset, protocol: str) -> None:
    model, cut_offs = ItemKNN(ml100k, leave_out_seen=False), (1, 5, 10, 20)
    ranks = rank_users(model, ml100k, "test", protocols=(protocol,))[protocol]
    relevant, run, rows = [], [], []
    for row, user in enumerate(ml100k.split.test.users[:100]):
        log = ml100k.items[ml100k.offsets[user] : ml100k.offsets[user + 1]].tolist()
        history, target = log[:-1], log[-1]
        scores = model(torch.tensor([history[-50:]]))[0].tolist()
        if protocol not in ("full", "unseen"):
            items = [target, *(int(item) for item in ml100k.negatives(protocol, "test")[row] if item)]
        else:
            known = set(history) if protocol == "unseen" else set()
            items = [item for item in range(1, ml100k.n_items + 1) if item not in known]
        if sum(scores[item] == scores[target] for item in items) > 1:
            continue  # a tie of the target: others break it by name, we against the model
        rows.append(row)
        relevant.append(ir_measures.Qrel(str(row), str(target), 1))
        best = sorted(items, key=lambda item: -scores[item])[:25]  # nothing below the largest cut-off counts
        run += [ir_measures.ScoredDoc(str(row), str(item), scores[item]) for item in best]
    assert len(rows) > 50
    wanted = [measure @ k for measure in (R, RR, nDCG) for k in cut_offs]
    theirs = ir_measures.calc_aggregate(wanted, relevant, run)
    ours = evaluation_module.metrics_of({protocol: ranks[rows]}, cut_offs)
    for name, measure in (("recall", R), ("mrr", RR), ("ndcg", nDCG)):
        for k in cut_offs:
            assert ours[f"{name}@{k}_{protocol}"] == pytest.approx(theirs[measure @ k], abs=1e-9)
    assert 0.02 < ours[f"recall@10_{protocol}"] < 0.9


class LargestTensor(TorchDispatchMode):
    """Dispatch mode that records the size of the largest tensor created."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(each, Tensor):
                self.bytes = max(self.bytes, each.untyped_storage().nbytes())
        return result


def test_scores_of_all_users_and_items_are_never_held_at_once(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three of tiny_dataset's 40 users have as many scores as may be held here.
    limit, n_items = 2**16, 2**16 // 3 - 1
    monkeypatch.setattr(evaluation_module, "LARGEST_SCORES", limit)
    dataset = dataclasses.replace(tiny_dataset, item_ids=np.broadcast_to(np.str_("i"), n_items + 1))
    sizes: list[int] = []

    class Wide(nn.Module):
        def forward(self, ids: Tensor) -> Tensor:
            sizes.append(len(ids))
            return torch.zeros(len(ids), n_items + 1)  # all tied: the most work for what is recommended

    with LargestTensor() as largest:
        metrics, _ = evaluate_fully(Wide(), dataset, "test", 10, ("full", "unseen"))
    assert sizes == [3] * 13 + [1]
    assert metrics["coverage@10_full"] == 10 / n_items
    # At most 8 bytes for each score of a batch; with one for each user and item it would be 13 times as much.
    assert limit * 4 - n_items * 4 <= largest.bytes <= limit * 8


@pytest.mark.parametrize("n_items", [1, 28, 3706, 164_532, 10**7, 10**9])
def test_scores_of_a_batch_stay_small(n_items: int) -> None:
    size = evaluation_batch_size(n_items)
    assert 1 <= size <= 256
    assert size == 1 or size * (n_items + 1) <= 2**24
    assert n_items > 3706 or size == 256


def test_the_network_looks_back_on_its_own_length(tiny_dataset: Dataset) -> None:
    seen: list[int] = []
    network = network_for(tiny_dataset, max_length=3)
    network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[1]))
    evaluate(network, tiny_dataset)
    assert max(seen) == 3
    seen.clear()
    evaluate(network, tiny_dataset, max_length=5)
    assert max(seen) == 5


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_runs_in_eval_mode_and_leaves_the_mode_as_it_was(tiny_dataset: Dataset, training: bool) -> None:
    network = network_for(tiny_dataset, dropout=0.5).train(training)
    modes: list[tuple[bool, bool]] = []
    network.register_forward_hook(lambda module, *_: modes.append((module.training, torch.is_grad_enabled())))
    assert evaluate(network, tiny_dataset) == evaluate(network, tiny_dataset)
    assert set(modes) == {(False, False)}
    assert network.training is training


def test_the_mode_is_restored_when_a_network_fails(tiny_dataset: Dataset) -> None:
    class Diverged(nn.Module):
        def forward(self, ids: Tensor) -> Tensor:
            return torch.full((len(ids), 31), torch.nan)

    network = Diverged().train()
    with pytest.raises(ValueError, match="the scores contain NaN"):
        evaluate(network, tiny_dataset, protocols=["full"])
    assert network.training


@pytest.mark.parametrize("part", ["train", "validation", ""])
def test_other_parts_are_refused(tiny_dataset: Dataset, part: str) -> None:
    with pytest.raises(UserError, match="evaluate on valid or test"):
        evaluate(network_for(tiny_dataset), tiny_dataset, part)


def test_other_protocols_are_refused(tiny_dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="protocol must be one of .*pop200"):
        evaluate(network_for(tiny_dataset), tiny_dataset, protocols=["pop200"])


def test_a_protocol_named_twice_is_ranked_once(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_module, "evaluation_batch_size", lambda n_items: 3)
    network = network_for(tiny_dataset)
    once = rank_users(network, tiny_dataset, "test", protocols=["full"])["full"]
    assert rank_users(network, tiny_dataset, "test", protocols=["full", "full"])["full"].tolist() == once.tolist()


def test_a_perfect_network_is_perfect(tiny_dataset: Dataset) -> None:
    class Oracle(nn.Module):
        """Network that knows each test target from the history."""

        def __init__(self) -> None:
            super().__init__()
            self.answers: dict[tuple[int, ...], int] = {}
            for user in tiny_dataset.split.test.users:
                log = tiny_dataset.items[tiny_dataset.offsets[user] : tiny_dataset.offsets[user + 1]].tolist()
                self.answers[tuple(log[:-1])] = log[-1]

        def forward(self, ids: Tensor) -> Tensor:
            scores = torch.zeros(len(ids), tiny_dataset.n_items + 1)
            for row, history in enumerate(ids.tolist()):
                scores[row, self.answers[tuple(item for item in history if item)]] = 1
            return scores

    actual = evaluate(Oracle(), tiny_dataset, max_length=100, protocols=PROTOCOLS)
    assert set(actual.values()) == {1.0}
