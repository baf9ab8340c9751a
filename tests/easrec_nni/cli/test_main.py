"""Registry of the commands."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from easrec_nni import Architecture, SpaceConfig
from easrec_nni.cli import main


@pytest.mark.parametrize("name", main.COMMANDS)
def test_a_line_of_help_is_the_first_of_the_commands_docstring(name: str) -> None:
    documented = inspect.getdoc(main.command_function(name))
    assert documented is not None and main.COMMANDS[name][1] == documented.splitlines()[0]


def test_version_and_a_similar_name() -> None:
    done = CliRunner().invoke(main.app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"easrec-nni {version('easrec-nni')}\n")
    done = CliRunner().invoke(main.app, ["sistems"])
    assert done.exit_code == 2 and "'systems'" in done.stderr


def test_a_group_lists_its_commands_and_suggests_a_similar_name() -> None:
    done = CliRunner().invoke(main.app, ["table", "--help"])
    assert done.exit_code == 0 and main.COMMANDS["table build"][1] in " ".join(done.stdout.split())
    assert {name.partition(" ")[0] for name in main.COMMANDS if " " in name} == set(main.GROUPS)
    done = CliRunner().invoke(main.app, ["table", "biuld"])
    assert done.exit_code == 2 and "'build'" in done.stderr


def run(words: list[str], stdout: Any = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "easrec_nni.cli.main", *words]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, env={**os.environ, **environment}, timeout=100, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_an_output_that_is_full_is_said_in_a_line() -> None:
    with open("/dev/full", "wb") as full:
        done = run(["systems"], full)
    assert done.returncode == 2
    message = b"easrec: error: cannot write (No space left on device): make room, or write elsewhere\n"
    assert done.stderr == message


def test_characters_that_the_output_lacks_are_escaped(tmp_path: Path) -> None:
    space = SpaceConfig(n_items=50, max_length=10, hidden=16, inner=32, heads=2, layers=2)
    Architecture(choices=space.largest, space=space).write(tmp_path / "a.json")
    done = run(["show", str(tmp_path / "a.json")], PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"hidden pruning 0 \\xb7 inner pruning 0" in done.stdout


def test_a_file_where_a_folder_should_be_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = run(["init", str(tmp_path / "taken")])
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"taken" in done.stderr
