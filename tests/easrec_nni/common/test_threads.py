"""Thread counts from ``OMP_NUM_THREADS``, read as OpenMP reads it."""

from __future__ import annotations

import os
import subprocess
import sys

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


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_threads_wait_without_their_core_unless_the_environment_decides(
    given: dict[str, str], spins: str | None
) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} | given
    program = (
        "import sys, os, easrec_nni; assert 'torch' not in sys.modules; "
        "import torch; print(os.environ.get('GOMP_SPINCOUNT'))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(spins)
