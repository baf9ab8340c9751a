from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from search_spaces import EASRecSpace, SpaceConfig, threads
from search_spaces.threads import run_each

PIECES = [torch.full((3, size), float(size)) for size in (4, 1, 7, 2, 5)]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_are_in_order_and_pieces_run_in_parallel(two_threads: None) -> None:
    both = threading.Barrier(2, timeout=60)  # passes when two pieces run at the same time

    def run(piece: Tensor) -> Tensor:
        both.wait()
        assert torch.get_num_threads() == 1
        return piece.sum(1)

    results = run_each(run, PIECES[:4])
    assert all(torch.equal(result, piece.sum(1)) for result, piece in zip(results, PIECES, strict=False))
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("count", [1, 3, 16])
def test_threads_are_divided(count: int, two_threads: None) -> None:
    torch.set_num_threads(count)
    shares = run_each(lambda piece: torch.tensor(torch.get_num_threads()), PIECES)
    assert {int(share) for share in shares} == {max(1, count // threads.WORKERS)}
    assert torch.get_num_threads() == count


@pytest.mark.parametrize("inference", [False, True])
def test_no_thread_keeps_gradients(inference: bool, two_threads: None) -> None:
    weight = torch.ones(1, requires_grad=True)
    with torch.inference_mode(inference), torch.no_grad():
        results = run_each(lambda piece: piece * weight, PIECES)
    assert not any(result.requires_grad for result in results)
    assert all(result.is_inference() == inference for result in results)


def test_an_error_arrives_and_the_number_of_threads_is_restored(two_threads: None) -> None:
    def run(piece: Tensor) -> Tensor:
        raise ValueError(f"piece of {piece.shape[1]}")

    with pytest.raises(ValueError, match="piece of 4"):
        run_each(run, PIECES)
    assert torch.get_num_threads() == 2


def test_a_precision_that_the_caller_chose_holds(two_threads: None) -> None:
    weight = torch.ones(4, 4)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        results = run_each(lambda piece: piece @ weight, [torch.ones(2, 4)] * 3)
    assert {result.dtype for result in results} == {torch.bfloat16}


def test_a_network_scores_alike_on_one_thread_and_on_several(two_threads: None) -> None:
    torch.manual_seed(0)
    sizes = {"n_items": 50, "max_length": 80, "hidden": 16, "inner": 512, "heads": 2, "layers": 2, "min_depth": 2}
    network = EASRecSpace(SpaceConfig(**sizes, hidden_pruning=(0.0,), inner_pruning=(0.0,))).eval()
    ids = torch.randint(1, 51, (60, 80))
    ids[::3, :50] = 0
    scores = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        with torch.no_grad():
            scores.append(network(ids)[:, 1:])
    torch.testing.assert_close(scores[1], scores[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scores[2], scores[0], rtol=1e-5, atol=1e-5)
