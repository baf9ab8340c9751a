"""Datasets for the tests, prepared by the product itself, a home for NNI, and the threads that tests take."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from easrec_nni.data import Dataset, prepare
from tests.experiments import stop_all


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Networks of the tests are tiny: dividing them among threads costs more than it saves."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell lets what it starts in the background ignore SIGINT, and so would all that tests start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def ml100k() -> Dataset:
    """MovieLens 100K in the user's own cache, so that only the first run of the tests downloads it."""
    return prepare("ml-100k")


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """40 users with 3 to 20 interactions over 30 items, with seeded random choices."""
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(7)
    lines = ["user,item,time"]
    for user in range(40):
        # The first items of the users cover the catalogue, so that it always has all 30.
        chosen = [user % 30, *rng.integers(0, 30, size=2 + user % 18)]
        lines += [f"u{user},i{item},{1000 + step}" for step, item in enumerate(chosen)]
    log = folder / "tiny.csv"
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return prepare(log, folder / "prepared")


@pytest.fixture
def nni_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory of the test's own, in which NNI keeps its records; nothing runs there after the test."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    yield home
    stop_all(home)
