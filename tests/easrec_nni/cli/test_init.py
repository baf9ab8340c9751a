from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni import Dataset, TrialSettings
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.settings.examples import copy_examples, examples_folder

FILES = {file.relative_to(examples_folder()).as_posix() for file in examples_folder().rglob("*.yml")}


def names(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_init_copies_all_examples(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["init", str(tmp_path / "new")])
    assert result.exit_code == 0
    assert "ml100k.yml" in result.output
    assert names(tmp_path / "new") == FILES
    assert {"ml100k.yml", "settings/ml100k.yml"} <= FILES


def test_init_takes_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init"]).exit_code == 0
    assert names(tmp_path) == FILES


def test_init_does_not_overwrite_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "ml1m.yml").write_text("mine")
    result = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert result.exit_code == 2
    assert "ml1m.yml" in result.output and "--force" in result.output
    assert names(tmp_path) == {"ml1m.yml"}
    assert (tmp_path / "ml1m.yml").read_text() == "mine"
    assert CliRunner().invoke(app, ["init", str(tmp_path), "--force"]).exit_code == 0
    assert (tmp_path / "ml1m.yml").read_text() != "mine"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        copy_examples(tmp_path / "file")


def test_init_asks_for_the_very_dataset(tmp_path: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    home = tmp_path / "home" / "datasets"
    shutil.copytree(tiny_dataset.path, home / "ml-100k")
    manifest = json.loads((home / "ml-100k" / "manifest.json").read_text())
    (home / "ml-100k" / "manifest.json").write_text(json.dumps(manifest | {"name": "ml-100k"}))
    result = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--data", "ml-100k"])
    assert result.exit_code == 0, result.output
    settings = TrialSettings.read(tmp_path / "new" / "settings" / "ml100k.yml")
    assert settings.data_fingerprint == tiny_dataset.fingerprint
    assert settings.dataset().name == "ml-100k"
    assert TrialSettings.read(tmp_path / "new" / "settings" / "ml1m.yml").data_fingerprint == ""
    plain = TrialSettings.read(examples_folder() / "settings" / "ml100k.yml")
    assert settings.model_copy(update={"data_fingerprint": ""}) == plain


def test_init_says_the_lines_for_a_dataset_of_ones_own(
    tmp_path: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    shutil.copytree(tiny_dataset.path, tmp_path / "home" / "datasets" / "tiny")
    result = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--data", "tiny"])
    assert result.exit_code == 0
    assert f"data: tiny\ndata_fingerprint: {tiny_dataset.fingerprint}\n" in result.output
    result = CliRunner().invoke(app, ["init", str(tmp_path / "other"), "--data", "no-such"])
    assert result.exit_code == 2 and not (tmp_path / "other").exists()
