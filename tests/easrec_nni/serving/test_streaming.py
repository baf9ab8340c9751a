"""Streaming against the network on whole histories, for any order and batching of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig, StreamingRecommender, UserError
from easrec_nni.architecture.weights import load_network, save_weights
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.serving import streaming
from easrec_nni.serving.streamable import without_window


def log(users: int = 7, events: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, users, events), random.integers(1, 31, events)


def expected_scores(network: Any, history: Any) -> torch.Tensor:
    with torch.inference_mode():
        scores: torch.Tensor = without_window(network, 10_000)(torch.as_tensor(np.asarray(history))[None])[0]
    return scores


@pytest.mark.parametrize("batch_size", [1, 13, 60])
def test_a_log_in_any_batches_gives_the_networks_scores(make_network: Any, batch_size: int) -> None:
    """A user may occur several times in a batch; its events keep their order."""
    network = make_network(key_norm="column")
    stream = StreamingRecommender(network)
    users, items = log()
    for begin in range(0, len(users), batch_size):
        stream.update(users[begin : begin + batch_size], items[begin : begin + batch_size])
    best = stream.recommend(np.unique(users), k=30)
    for row, user in enumerate(np.unique(users)):
        scores = expected_scores(network, items[users == user])
        np.testing.assert_allclose(best.scores[row], scores[best.items[row]].numpy(), atol=1e-4)
        assert best.items[row].tolist() == best.items[row][np.argsort(-best.scores[row], kind="stable")].tolist()
        assert set(best.items[row]) == set(range(1, 31))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "precision", "within"),
    [
        ({"layers": 4}, "double", 1e-4),
        ({"layers": 4}, "single", 1e-3),
        ({"layers": 2, "key_norm": "column"}, "double", 1e-4),
        ({"layers": 2, "attention": "elu"}, "double", 1e-4),
    ],
    ids=str,
)
def test_ten_thousand_events_later_it_still_equals_the_network(
    make_network: Any, fields: dict[str, Any], precision: Any, within: float
) -> None:
    network = make_network(hidden=32, inner=64, heads=2, n_items=200, **fields)
    items = np.random.default_rng(1).integers(1, 201, 10_000)
    stream = StreamingRecommender(network, precision=precision)
    for item in items:
        stream.update([0], [item])
    best = stream.recommend([0], k=200)
    scores = expected_scores(network, items)
    np.testing.assert_allclose(best.scores[0], scores[best.items[0]].numpy(), rtol=0, atol=within)
    fitted = StreamingRecommender(network, precision=precision)
    fitted.fit_histories([0], items, [0, len(items)])
    np.testing.assert_allclose(fitted.recommend([0], k=200).scores, best.scores, rtol=0, atol=within)


def test_bulk_and_single_events_go_on_alike(make_network: Any) -> None:
    network = make_network(positions="from_start")
    users, items = log(users=90, events=1500)
    order = np.argsort(users, kind="stable")
    offsets = np.searchsorted(users[order], np.arange(91))
    bulk, single = StreamingRecommender(network), StreamingRecommender(network)
    bulk.fit_histories(np.arange(90), items[order], offsets)
    single.update(users, items)
    for stream in (bulk, single):
        stream.update(np.arange(90), np.arange(90) % 30 + 1)
    for one, other in zip(bulk.recommend(range(90), 5), single.recommend(range(90), 5), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_beyond_the_trained_positions_the_last_row_stays(make_network: Any) -> None:
    network = make_network(positions="from_start", max_length=8)
    stream = StreamingRecommender(network, beyond="clamp")
    items = log(events=20)[1]
    for item in items:
        stream.update("ann", item)
    wide = without_window(network, 20)
    rows = wide.embedding.positions.weight
    assert torch.equal(rows[:8], network.embedding.positions.weight) and torch.equal(rows[8:], rows[7:8].expand(12, -1))
    scores = wide(torch.from_numpy(items)[None])[0]
    best = stream.recommend("ann", k=30)
    np.testing.assert_allclose(best.scores[0], scores[best.items[0]].detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("events", [8, 9, 16, 21])
def test_beyond_the_trained_positions_the_state_can_restart(make_network: Any, events: int) -> None:
    """Within N events the stream must equal the network itself."""
    network = make_network(positions="from_start", max_length=8)
    items = log(events=events)[1]
    stream, fitted = (StreamingRecommender(network, beyond="restart") for _ in range(2))
    for item in items:
        stream.update([1, 2], [item, item])
    fitted.fit_histories([1], items, [0, events])
    start = (events - 1) // 8 * 8
    with torch.inference_mode():
        scores = network(torch.from_numpy(items[start:])[None])[0]
    for recommender in (stream, fitted):
        best = recommender.recommend([1], k=30)
        np.testing.assert_allclose(best.scores[0], scores[best.items[0]].numpy(), atol=1e-5)
        recommender.update([1], [3])
    np.testing.assert_allclose(stream.recommend([1], 5).scores, fitted.recommend([1], 5).scores, atol=1e-5)


def test_up_to_n_events_it_equals_the_network_as_it_is(make_network: Any) -> None:
    network = make_network(max_length=20)
    stream = StreamingRecommender(network)
    items = log(events=20)[1]
    best = [stream.update_and_recommend(["ann"], [item], k=4) for item in items][-1]
    with torch.inference_mode():
        top = network(torch.from_numpy(items)[None]).topk(4)
    assert best.items.tolist() == top.indices.tolist()
    np.testing.assert_allclose(best.scores, top.values.numpy(), atol=1e-5)


def test_seen_items_can_be_left_out(make_network: Any) -> None:
    stream = StreamingRecommender(make_network(), keep_seen=True)
    users, items = log(users=3, events=40)
    stream.update(users, items)
    fitted = StreamingRecommender(make_network(), keep_seen=True)
    order = np.argsort(users, kind="stable")
    fitted.fit_histories(range(3), items[order], np.searchsorted(users[order], np.arange(4)))
    for recommender in (stream, fitted):
        best = recommender.recommend(range(3), k=30, exclude_seen=True)
        for user in range(3):
            left = set(range(1, 31)) - set(items[users == user].tolist())
            assert set(best.items[user].tolist()) - {0} == left
            assert (best.items[user][len(left) :] == 0).all() and np.isinf(best.scores[user][len(left) :]).all()
    with pytest.raises(UserError, match="keep_seen=True"):
        StreamingRecommender(make_network()).recommend([], exclude_seen=True)


def test_forgotten_users_start_over_in_free_slots(make_network: Any) -> None:
    stream = StreamingRecommender(make_network(), keep_seen=True)
    stream.update(["a", "b", "c"], [1, 2, 3])
    first = stream.recommend("b").scores
    capacity = stream.states.capacity
    for _ in range(3 * capacity):
        stream.update("b", 2)
        assert stream.forget("b") and not stream.forget("b")
    with pytest.raises(UserError, match="no events of user 'b'"):
        stream.recommend(["a", "b"])
    assert stream.states.capacity == capacity and stream.users == 2
    np.testing.assert_allclose(stream.update_and_recommend("b", 2).scores, first, atol=1e-5)
    assert stream.recommend("b", 29, exclude_seen=True).items.min() > 0


def test_users_may_be_many_and_memory_is_as_told(make_network: Any) -> None:
    stream = StreamingRecommender(make_network(), precision="single", keep_seen=True)
    users = [f"user {number}" for number in range(1000)]
    stream.update(users, [1 + number % 30 for number in range(1000)])
    # 3 layers of 2 heads of 8 x 8 numbers, 16 newest, 8 bytes of count, 31 bits
    assert stream.bytes_per_user == 4 * (3 * 2 * 8 * 8 + 16) + 8 + 4
    held = sum(tensor.numel() * tensor.element_size() for tensor in stream.states.tensors.values())
    assert (
        stream.users == 1000 and held == stream.states.capacity * stream.bytes_per_user <= 1600 * stream.bytes_per_user
    )
    assert stream.recommend(users, 1).items.shape == (1000, 1)


def test_mistakes_change_nothing(make_network: Any) -> None:
    stream = StreamingRecommender(make_network())
    stream.update(["a"], [1])
    before = stream.recommend(["a"]).scores
    for users, items, message in (
        (["a", "b"], [2], "2 users and 1 items"),
        (["a", "b"], [2, 31], "item '31' is not among"),
        (["a"], [0], "item '0' is not among"),
        (["a"], ["x"], "whole numbers"),
        (["a"], [1.5], "whole numbers"),
    ):
        with pytest.raises(UserError, match=message):
            stream.update(users, items)
    with pytest.raises(UserError, match="occurs twice"):
        stream.fit_histories(["a", "a"], [1, 2], [0, 1, 2])
    for offsets in ([0, 1], [0, 2, 1], [0, 1, 3], [-1, 1, 2]):
        with pytest.raises(UserError, match="offsets must be 3 non-decreasing numbers"):
            stream.fit_histories(["a", "b"], [1, 2], offsets)
    for k in (0, 31):
        with pytest.raises(UserError, match="from 1 to 30"):
            stream.update_and_recommend(["a"], [2], k)
    assert stream.users == 1
    np.testing.assert_array_equal(stream.recommend(["a"]).scores, before)
    with pytest.raises(ValueError, match="beyond='stop'"):
        StreamingRecommender(make_network(), beyond="stop")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"positions": "from_end"}, "positions: none .endless. or from_start.*streaming.yml"),
        ({"direction": "bidirectional"}, "direction: causal.*streaming.yml"),
        ({"attention": "softmax"}, "attention to linrec or elu.*streaming.yml"),
        ({"attention": "efficient"}, "attention to linrec or elu"),
        ({"item_width": 4}, "remove item_width"),
        ({"head": "core"}, "head: state"),
        ({"features": "stream", "feature_sizes": (3,), "feature_values": (1,)}, "features to fused or none"),
    ],
    ids=str,
)
def test_networks_without_a_state_are_refused_with_what_to_train(
    make_network: Any, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        StreamingRecommender(make_network(**fields))


def test_a_supernet_is_refused() -> None:
    from easrec_nni import EASRecSpace

    with pytest.raises(UserError, match="freeze"):
        StreamingRecommender(EASRecSpace(SpaceConfig(n_items=9, hidden=8, heads=2, positions="none")))


@pytest.fixture
def run(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    """Folder of a retrained network, with random weights."""
    torch.manual_seed(0)
    space = SpaceConfig(n_items=30, max_length=30, hidden=8, inner=16, heads=2, layers=2, positions="none")
    architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2), space=space)
    architecture.write(tmp_path / "architecture.json")
    save_weights(load_network(architecture).state_dict(), tmp_path / "weights.safetensors")
    return tmp_path


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_datasets_histories_give_the_networks_scores(run: Path, tiny_dataset: Dataset, part: Any) -> None:
    stream = StreamingRecommender.load(run, tiny_dataset)
    stream.fit_dataset(tiny_dataset, before=part)
    users = tiny_dataset.user_ids[tiny_dataset.split.test.users]
    assert stream.users == len(users)
    best = stream.recommend(users, k=3)
    for batch in EvaluationBatches(tiny_dataset, part, 30, 16):
        with torch.inference_mode():
            top = stream.network(batch.ids).topk(3)
        rows = batch.rows.numpy()
        np.testing.assert_allclose(best.scores[rows], top.values.numpy(), atol=1e-5)
        assert (best.items[rows] == tiny_dataset.item_ids[top.indices.numpy()]).all()


def test_ids_of_the_source_go_in_and_come_out(run: Path, tiny_dataset: Dataset) -> None:
    stream, plain = StreamingRecommender.load(run, tiny_dataset), StreamingRecommender.load(run, numbers=True)
    names = tiny_dataset.item_ids[[4, 9]]
    best = stream.update_and_recommend(["u1", "new"], names, 5)
    expected = plain.update_and_recommend(["u1", "new"], [4, 9], 5)
    assert best.items.tolist() == tiny_dataset.item_ids[expected.items].tolist()
    with pytest.raises(UserError, match="item 'nothing' is not among"):
        stream.update(["u1"], ["nothing"])
    stream.fit_dataset(tiny_dataset)
    assert stream.users == tiny_dataset.n_users + 1  # earlier users stay


def test_the_dataset_must_be_there_and_fit(run: Path, tiny_dataset: Dataset, make_network: Any) -> None:
    with pytest.raises(UserError, match="names no dataset: give --data NAME"):
        StreamingRecommender.load(run)
    with pytest.raises(UserError, match="not those of this stream"):
        StreamingRecommender(make_network(n_items=31)).fit_dataset(tiny_dataset)
    with pytest.raises(UserError, match="item_ids has 3 entries"):
        StreamingRecommender(make_network(), item_ids=["", "a", "b"])


def test_users_are_handled_in_parts_where_the_catalogue_is_large(
    make_network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = StreamingRecommender(make_network())
    monkeypatch.setattr(streaming, "evaluation_batch_size", lambda n_items: 3)
    parts = StreamingRecommender(make_network())
    for stream in (whole, parts):
        stream.update(range(10), range(1, 11))
    assert whole.recommend(range(10)).items.tolist() == parts.recommend(range(10)).items.tolist()
    np.testing.assert_allclose(whole.recommend(range(10)).scores, parts.recommend(range(10)).scores, atol=1e-6)
