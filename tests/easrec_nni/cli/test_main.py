"""Registry of the commands."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

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
