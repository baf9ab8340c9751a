"""The engine: bounded memory, order of large results, interruption, and nothing left behind."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from easrec_nni.data import prepare
from easrec_nni.data.arrays import ArrayWriter
from easrec_nni.data.engine import Engine, memory_bytes


def test_large_results_keep_their_order_and_spill(tmp_path: Path) -> None:
    rows = 3_000_000
    with Engine("100MB", tmp_path) as engine:
        engine.run(f"CREATE TABLE log AS SELECT range AS row, hash(range) % 1000 AS key FROM range({rows})")
        batches = [batch.to_pandas() for batch in engine.batches("SELECT key, row FROM log ORDER BY key, row")]
        assert len(batches) > 1
        sorted_log = pd.concat(batches, ignore_index=True)
        assert len(list(tmp_path.iterdir())) == 1
    keys, numbers = sorted_log["key"].to_numpy(), sorted_log["row"].to_numpy()
    assert len(numbers) == rows and np.array_equal(np.sort(numbers), np.arange(rows))
    steps = np.diff(keys.astype(np.int64))
    assert np.all((steps > 0) | ((steps == 0) & (np.diff(numbers) > 0)))
    assert list(tmp_path.iterdir()) == []


def test_a_log_of_several_batches_is_the_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories are cut nowhere, whatever part of the sorted log a batch has."""
    rng = np.random.default_rng(0)
    users = np.concatenate([rng.integers(0, 300, 20_000), np.full(9_000, 7)])
    items, times = rng.integers(0, 50, len(users)), rng.integers(0, 400, len(users))
    rows = pd.DataFrame({"user": users, "item": items, "time": times})
    rows.sample(frac=1, random_state=1).to_csv(tmp_path / "log.csv", index=False)
    plain = prepare(tmp_path / "log.csv", tmp_path / "plain")
    monkeypatch.setattr("easrec_nni.data.engine._BATCH_ROWS", 2048)
    parts = prepare(tmp_path / "log.csv", tmp_path / "parts", memory="200MB")
    assert parts.fingerprint == plain.fingerprint
    assert parts.manifest.model_dump(exclude={"name"}) == plain.manifest.model_dump(exclude={"name"})
    assert parts.manifest.dropped["rows that repeat user, item and time of another"] == rows.duplicated().sum() > 0


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float64])
def test_arrays_written_in_parts(kind: type, tmp_path: Path) -> None:
    parts = [np.arange(size, dtype=kind) for size in (0, 3, 100_000, 1)]
    writer = ArrayWriter(tmp_path / "array.npy", kind)
    for part in parts:
        writer.append(part)
    whole = writer.close()
    assert np.array_equal(whole, np.concatenate(parts)) and whole.dtype == kind
    assert np.array_equal(np.load(tmp_path / "array.npy"), whole)
    assert len(ArrayWriter(tmp_path / "empty.npy", kind).close()) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4GB", 4 * 10**9), ("1.5 gb", 1_500_000_000), ("512MiB", 512 << 20), ("2g", 2 * 10**9), ("1000000", 1_000_000)],
)
def test_memory_bytes(text: str, expected: int) -> None:
    assert memory_bytes(text) == expected


def test_an_interrupted_query_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,time\n" + "".join(f"u{n % 2},i{n},{n}\n" for n in range(10)))
    (tmp_path / "spill").mkdir()
    program = (
        "from easrec_nni.data import encode\nfrom easrec_nni.data.engine import Engine\n"
        "from easrec_nni.cli.main import run\nplain = Engine.run\n"
        "def slow(self, query, step=None):\n"
        "    if 'CREATE TABLE users' in query:\n"
        "        print('ready', flush=True)\n"
        "        query = 'SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 = b.range % 11'\n"
        "    plain(self, query, step)\n"
        "Engine.run = slow\nrun()\n"
    )
    command = [sys.executable, "-c", program, "prepare", "log.csv", "--out", "new/folder", "--spill", "spill"]
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "preexec_fn": heed}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "ready\n"
        assert len(list((tmp_path / "spill").iterdir())) == 1
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "easrec: interrupted" in err and "Traceback" not in err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log.csv", "spill"]
    assert list((tmp_path / "spill").iterdir()) == []
