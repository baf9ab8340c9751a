"""A disk that fills up while a checkpoint is written: a small file system in memory, which only root can mount."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig, TrialSettings, UserError, search
from easrec_nni.architecture.weights import load_network, save_weights
from easrec_nni.common.files import atomic_copy, write_text

SETTINGS = {
    "space": {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]},
    "search": {"epochs": 4, "batch_size": 8},
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(f"no file system can be mounted: {mounted.stderr}")
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to the last byte; the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


def files(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.slow
def test_a_stream_leaves_the_states_that_it_cannot_write(small_disk: Path, tmp_path: Path) -> None:
    space = SpaceConfig(n_items=30, max_length=8, hidden=8, inner=16, heads=2, layers=2, positions="none")
    architecture = Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2), space=space)
    architecture.write(tmp_path / "architecture.json")
    save_weights(load_network(architecture).state_dict(), tmp_path / "weights.safetensors")
    state = small_disk / "states"
    command = [sys.executable, "-m", "easrec_nni.cli.main", "recommend", tmp_path, "--stream", "--numbers"]
    command += ["--state", state, "--save-events", "3"]

    def events(number: int) -> str:
        return "".join(f'{{"user": "u{each}", "item": 1}}\n' for each in range(number))

    def stream(stdin: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(list(map(str, command)), input=stdin, capture_output=True, text=True, check=False)

    assert stream(events(2)).returncode == 0
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        print('{"user": "u0", "item": 2}', file=process.stdin, flush=True)
        process.stdout.readline()  # it runs, and the lock file has its note
        ballast, before = fill(small_disk), state.read_bytes()
        process.stdin.write(events(4))
        process.stdin.flush()
        for _ in range(4):  # answers go on
            assert "items" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 2
        said = process.stderr.read().splitlines()
    assert said[1].startswith(f"easrec: no space is left for {state}: make room on that disk")
    assert said[1].endswith("3 events not saved yet, retrying in 60 s")
    assert said[2].startswith(f"easrec: error: no space is left for {state}: make room on that disk")
    assert said[2].endswith(f"5 events lost, {state} is unchanged") and len(said) == 3
    assert state.read_bytes() == before
    assert sorted(each.name for each in small_disk.iterdir()) == ["ballast", "states", "states.lock"]

    ballast.unlink()
    again = stream(events(1))
    assert again.returncode == 0
    first, second, last = again.stderr.splitlines()
    assert first.startswith("easrec: states of 2 users, 2 events, saved at ")
    assert "did not end cleanly: up to 5 events after its last save" in second
    assert last.endswith(f"states of 2 users, 3 events are in {state}")


@pytest.mark.slow
def test_a_search_ends_with_a_line_and_goes_on_when_there_is_room(
    tiny_dataset: Dataset, small_disk: Path, tmp_path: Path
) -> None:
    settings = TrialSettings(data="tiny", **SETTINGS)
    before: dict[str, bytes] = {}

    def fill_in_epoch_2(row: dict[str, float]) -> None:
        if row["epoch"] == 2:  # its row is written, its checkpoint not yet
            before.update(files(small_disk / "run"))
            fill(small_disk)

    with pytest.raises(UserError) as caught:
        search(tiny_dataset, settings, small_disk / "run", on_epoch=fill_in_epoch_2)
    checkpoint = small_disk / "run" / "state" / "last.ckpt"
    assert caught.value.message.startswith(f"no space is left for {checkpoint}: make room on that disk")
    assert files(small_disk / "run") == before  # the checkpoint of epoch 1, and nothing half-written
    with pytest.raises(UserError, match="no space is left"):  # nor does it get further while there is none
        search(tiny_dataset, settings, small_disk / "run")
    assert checkpoint.read_bytes() == before["state/last.ckpt"]

    (small_disk / "ballast").unlink()
    rows: list[float] = []
    found = search(tiny_dataset, settings, small_disk / "run", on_epoch=lambda row: rows.append(row["epoch"]))
    assert rows == [2, 3]
    unbroken = search(tiny_dataset, settings, tmp_path / "unbroken")
    assert found.architecture.to_json() == unbroken.architecture.to_json()
    assert found.supernet.read_bytes() == unbroken.supernet.read_bytes()


def test_every_writer_says_so_and_leaves_what_was_there(small_disk: Path, tmp_path: Path) -> None:
    target = small_disk / "file"
    target.write_text("whole")
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    fill(small_disk)
    for write in (
        lambda: save_weights({"weight": torch.zeros(1 << 18)}, target),
        lambda: write_text(target, "x" * (1 << 20)),
        lambda: atomic_copy(tmp_path / "large", target),
    ):
        with pytest.raises(UserError, match="no space is left"):
            write()
        assert target.read_text() == "whole"
        assert sorted(each.name for each in small_disk.iterdir()) == ["ballast", "file"]
