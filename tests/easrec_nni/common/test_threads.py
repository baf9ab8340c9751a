"""Thread counts from ``OMP_NUM_THREADS``, read as OpenMP reads it."""

from __future__ import annotations

import os

import pytest

from easrec_nni.common.threads import available_threads, thread_environment

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "threads"),
    [("3", 3), ("4,2", 4), ("0", 1), ("", CORES), ("many", CORES), ("-1", CORES), (None, CORES)],
)
def test_a_value_that_is_not_a_number_is_ignored(
    monkeypatch: pytest.MonkeyPatch, text: str | None, threads: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if text is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert available_threads() == threads


def test_a_process_that_is_given_threads_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in thread_environment(7).items():
        monkeypatch.setenv(name, value)
    assert available_threads() == 7
