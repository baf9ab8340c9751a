from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from easrec_nni import Architecture, Dataset, TrialSettings, retrain, search
from easrec_nni.training.interruption import EXIT_TERMINATED

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 1, "hidden_pruning": [0, 0.5]}
EPOCHS = {"epochs": 3, "batch_size": 8}


def settings_for(dataset: Dataset) -> TrialSettings:
    return TrialSettings(data=str(dataset.path), space=SPACE, search=EPOCHS, retrain={**EPOCHS, "weights": "scratch"})


@pytest.mark.parametrize("stage", ["search", "retrain"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, None), (signal.SIGTERM, EXIT_TERMINATED)])
def test_a_signal_within_an_epoch_leaves_the_training(
    tiny_dataset: Dataset, tmp_path: Path, stage: str, number: signal.Signals, code: int | None
) -> None:
    settings, before = settings_for(tiny_dataset), [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    def interrupt(row: dict[str, float]) -> None:
        os.kill(os.getpid(), number)

    space = settings.space_for(tiny_dataset)
    with pytest.raises(KeyboardInterrupt if code is None else SystemExit) as caught:
        if stage == "search":
            search(tiny_dataset, settings, tmp_path, on_epoch=interrupt)
        else:
            architecture = Architecture(choices=space.largest, space=space)
            retrain(architecture, tiny_dataset, tmp_path, settings=settings, on_epoch=interrupt)
    assert getattr(caught.value, "code", None) == code and EXIT_TERMINATED == 143
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_stopped_says_so_and_goes_on_when_repeated(
    tiny_dataset: Dataset, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "settings.yml"
    document = (
        settings_for(tiny_dataset).with_parameters({"search.epochs": 4000}).model_dump(mode="json", by_alias=True)
    )
    file.write_text(json.dumps(document))
    command = [sys.executable, "-m", "easrec_nni.cli.main", "search", str(file), "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        begun = time.monotonic()
        while not list((tmp_path / "out").rglob("last.ckpt")) and time.monotonic() < begun + 100:
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.splitlines()[-1] == "easrec: interrupted"
    assert not (tmp_path / "out" / "architecture.json").exists()
