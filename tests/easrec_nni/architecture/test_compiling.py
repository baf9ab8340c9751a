from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from easrec_nni.architecture.compiling import compile_scoring
from easrec_nni.common.errors import UserError
from search_spaces import EASRecSpace, SpaceConfig
from search_spaces.attention import CHUNK

SIZES: dict[str, Any] = {"n_items": 60, "max_length": 2 * CHUNK + 9, "hidden": 16, "inner": 32, "heads": 2, "layers": 2}
ONE = {"hidden_pruning": (0.0,), "inner_pruning": (0.0,), "min_depth": 2}
COMPILER = os.environ.get("CXX", "g++")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start and end without compiled code, in memory and in the cache folder."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def make_network(**changes: Any) -> EASRecSpace:
    torch.manual_seed(0)
    return EASRecSpace(SpaceConfig(**SIZES | ONE | changes)).eval()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs a C++ compiler ({COMPILER})")
@pytest.mark.parametrize("changes", [{}, {"attention": "softmax", "gate_layers": 0}], ids=["linrec", "softmax"])
def test_compiled_scores_are_those_of_the_network(changes: dict[str, Any], empty_cache: None) -> None:
    network = make_network(**changes)
    histories = []
    for users, length in ((2, 5), (9, CHUNK), (1, 7), (4, 2 * CHUNK + 3), (130, 2 * CHUNK + 20)):
        ids = torch.randint(1, 61, (users, length))
        ids[0, : length // 2] = 0
        ids[2::5] = 0  # users without history
        histories.append(ids)
    histories.append(torch.zeros(30, 2 * CHUNK + 20, dtype=torch.long))
    with torch.no_grad():
        expected = [network(ids)[:, 1:] for ids in histories]
        compile_scoring(network)
        for ids, scores in zip(histories, expected, strict=True):
            torch.testing.assert_close(network(ids)[:, 1:], scores, rtol=1e-4, atol=1e-5)
        network.embedding.items.weight.mul_(2)  # compiled code uses the current weights
        changed = network(histories[0])[:, 1:]
    twice = make_network(**changes)
    with torch.no_grad():
        twice.embedding.items.weight.mul_(2)
        torch.testing.assert_close(changed, twice(histories[0])[:, 1:], rtol=1e-4, atol=1e-5)
    # Training is not affected.
    assert network.train().newest_state(histories[0]).requires_grad


def test_without_a_compiler_the_message_says_what_to_install(
    empty_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler")
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("/no/such/compiler",))
    with pytest.raises(UserError, match=r"It needs a C\+\+ compiler"):
        compile_scoring(make_network())
