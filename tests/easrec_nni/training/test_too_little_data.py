"""Datasets that an earlier version prepared and nothing can be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, SpaceConfig, TrialSettings, prepare, retrain, search
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, dataset, load_dataset, pipeline

SPACE: dict[str, Any] = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}
LOGS = {  # user, item
    "sessions of three": ([(user, (user + n) % 5) for user in range(8) for n in range(3)], "no user has two"),
    "one user": ([(0, n % 5) for n in range(12)], "one user alone"),
    "one item": ([(user, 0) for user in range(4) for _ in range(6)], "one item alone"),
}


@pytest.fixture(params=LOGS, ids=[name.replace(" ", "-") for name in LOGS])
def earlier(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Dataset, str, Path]:
    """A dataset made without the check, what is said of it, and its log."""
    rows, message = LOGS[request.param]
    log = tmp_path / "log.csv"
    log.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for time, (user, item) in enumerate(rows)))
    with monkeypatch.context() as patch:
        for module in (pipeline, dataset):
            patch.setattr(module, "check_trainable", lambda *args: None)
        prepare(log, tmp_path / "prepared")
    return load_dataset(tmp_path / "prepared"), message, log


def test_search_and_retraining_refuse_in_one_line(earlier: tuple[Dataset, str, Path], tmp_path: Path) -> None:
    data, message, log = earlier
    settings = TrialSettings(data=str(data.path), space=SPACE)
    with pytest.raises(UserError, match=f"the dataset log: .*{message}"):
        search(data, settings, tmp_path / "searched")
    choice = Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1)
    architecture = Architecture(choices=choice, space=SpaceConfig(n_items=data.n_items, **SPACE))
    with pytest.raises(UserError, match=message):
        retrain(architecture, data, tmp_path / "retrained", weights=tmp_path / "missing.safetensors")
    with pytest.raises(UserError, match=message):
        prepare(log, tmp_path / "prepared")  # which would be taken as it is
    assert not (tmp_path / "searched").exists() and not (tmp_path / "retrained").exists()


def test_the_commands_end_with_exit_code_2(earlier: tuple[Dataset, str, Path], tmp_path: Path) -> None:
    data, message, _ = earlier
    file = tmp_path / "settings.yml"
    file.write_text(f"data: {data.path}\nspace: {{max_length: 6, hidden: 8, inner: 16, heads: 2, layers: 2}}\n")
    architecture = tmp_path / "architecture.json"
    choice = Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1)
    Architecture(choices=choice, space=SpaceConfig(n_items=data.n_items, **SPACE)).write(architecture)
    for words in (
        ["search", str(file), "--out", str(tmp_path / "searched")],
        ["retrain", "--arch", str(architecture), "--data", str(data.path), "--scratch", "--out", str(tmp_path / "r")],
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2
        assert message in done.output and "Traceback" not in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", "prepared", "settings.yml", "architecture.json"}
