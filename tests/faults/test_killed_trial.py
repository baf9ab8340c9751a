"""A trial killed, and the dataset removed between two trials: what NNI shows, what stays, how it goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni import Dataset
from easrec_nni.cli.main import app
from easrec_nni.experiments.manager import running_experiment
from easrec_nni.experiments.records import find_experiment, list_trials
from tests.experiments import wait_for

EPOCHS = 12


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
@pytest.mark.timeout(900)
def test_reasons_are_shown_and_the_killed_one_goes_on_by_hand(
    make_config: Callable[..., Path],
    kill: Callable[..., None],
    tiny_dataset: Dataset,
    tmp_path: Path,
) -> None:
    data = Path(shutil.copytree(tiny_dataset.path, tmp_path / "data"))
    config = make_config(EPOCHS, 1, data=data, trialConcurrency=1)
    with running_experiment(config, 21_300) as experiment:
        wait_for(lambda: any(len(trial.intermediate) > 1 for trial in list_trials(experiment)))
        data.rename(tmp_path / "elsewhere")  # what the running trial has mapped, it keeps
        kill(experiment, list_trials(experiment)[0])
        wait_for(lambda: [trial.is_over for trial in list_trials(experiment)] == [True, True])
    killed, without_data = list_trials(find_experiment(experiment.id))
    assert killed.final is None and killed.status == "USER_CANCELED"  # NNI takes every signal for its own
    assert without_data.status == "FAILED" and without_data.final is None
    assert without_data.last_error() == (
        f"error: {data} is not a prepared dataset: run 'easrec prepare SOURCE --out {data}'"
    )
    assert "Traceback" not in (without_data.folder / "trial.stderr").read_text()
    shown = CliRunner().invoke(app, ["export", "--experiment", experiment.id, "--out", str(tmp_path / "out.json")])
    assert shown.exit_code == 2 and "no trial has a final result yet" in shown.output
    assert f"trial 1 ended with: error: {data} is not a prepared dataset" in " ".join(shown.output.split())

    before = (killed.folder / "state" / "history.csv").read_text().splitlines()
    assert len(before) > 2
    (tmp_path / "elsewhere").rename(data)
    words = ["search", str(config.with_name("settings.yml")), "--set", f"search.epochs={EPOCHS}", "--threads", "1"]
    done = CliRunner().invoke(app, [*words, "--out", str(killed.folder)])
    assert done.exit_code == 0, done.output
    history = (killed.folder / "state" / "history.csv").read_text().splitlines()
    assert len(history) == 1 + EPOCHS
    assert history[: len(before) - 1] == before[:-1]  # with the seconds that they took: these were not computed again
    again = CliRunner().invoke(
        app, ["export", "--experiment", experiment.id, "--trial", "0", "--out", str(tmp_path / "out.json")]
    )
    assert again.exit_code == 0 and (tmp_path / "out.json").is_file()
