"""Contract of every command: documented options, and exit code 2 with one line on mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni.cli.main import COMMANDS, app, build_command, command_function

EVERY_COMMAND = pytest.mark.parametrize("name", COMMANDS)


@EVERY_COMMAND
def test_help_explains_every_option(name: str) -> None:
    done = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    for parameter in build_command(name, command_function(name)).params:
        described = getattr(parameter, "help", "")
        assert described, f"{name} {parameter.name} has no help"
        assert parameter.param_type_name == "argument" or parameter.opts[0] in done.output


@EVERY_COMMAND
@pytest.mark.parametrize(
    "words", [["--no-such-option"], ["one", "two", "three", "four", "five"]], ids=["option", "words"]
)
def test_unknown_options_and_arguments_are_one_line(
    name: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, [*name.split(), *words])
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == [], "nothing is written"


@EVERY_COMMAND
def test_missing_files_are_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every required argument and option names a missing file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EASREC_HOME", str(tmp_path))
    words = []
    for parameter in build_command(name, command_function(name)).params:
        if parameter.required:
            words += (
                ["no/such/file"] if parameter.param_type_name == "argument" else [parameter.opts[0], "no/such/file"]
            )
    if not words:
        pytest.skip("needs no file")
    done = CliRunner().invoke(app, [*name.split(), *words])
    assert done.exit_code == 2 and "Traceback" not in done.output, done.output
    assert list(tmp_path.iterdir()) == [], "nothing is written"
