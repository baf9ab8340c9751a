"""What every command must do: explain itself, and end a mistake with exit code 2 and a line instead of a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni.cli.main import COMMANDS, app, build_command, command_function

EVERY = pytest.mark.parametrize("name", COMMANDS)


@EVERY
def test_help_explains_every_option(name: str) -> None:
    done = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    for parameter in build_command(name, command_function(name)).params:
        described = getattr(parameter, "help", "")
        assert described, f"{name} {parameter.name} has no help"
        assert parameter.param_type_name == "argument" or parameter.opts[0] in done.output


@EVERY
@pytest.mark.parametrize(
    "words", [["--no-such-option"], ["one", "two", "three", "four", "five"]], ids=["option", "words"]
)
def test_what_it_does_not_understand_is_a_line(
    name: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, [name, *words])
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == [], "nothing is written"


@EVERY
def test_files_that_are_not_there_are_a_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every argument and every option that must be given names a missing file."""
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
    done = CliRunner().invoke(app, [name, *words])
    assert done.exit_code == 2 and "Traceback" not in done.output, done.output
    assert list(tmp_path.iterdir()) == [], "nothing is written"
