"""Peak memory of a process, checked with processes of known size."""

from __future__ import annotations

import subprocess
import sys

from easrec_nni.bench.memory import peak_memory_bytes

MIB = 1 << 20
CHILD = """
import sys
from easrec_nni.bench.memory import peak_memory_bytes
small = peak_memory_bytes()
block = bytearray(b"x") * (int(sys.argv[1]) << 20)
del block
print(small, peak_memory_bytes())
"""


def peaks_of_child(mebibytes: int) -> tuple[int, int]:
    run = subprocess.run([sys.executable, "-c", CHILD, str(mebibytes)], capture_output=True, text=True, check=True)
    small, large = map(int, run.stdout.split())
    return small, large


def test_the_peak_has_an_allocation_in_it_that_is_gone_again() -> None:
    small, large = peaks_of_child(80)
    assert 78 * MIB < large - small < 100 * MIB


def test_the_peak_is_the_process_s_own_and_not_that_of_a_large_parent() -> None:
    block = bytearray(b"x") * (150 * MIB)
    assert peak_memory_bytes() > 150 * MIB
    small, _ = peaks_of_child(1)
    assert small < 100 * MIB
    del block
