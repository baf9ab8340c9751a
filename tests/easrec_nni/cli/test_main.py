"""The list of commands, and what starting one imports."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

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


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["init", "mine"], ["systems"]])
def test_neither_torch_nor_nni_is_imported(words: list[str], tmp_path: Path) -> None:
    program = (
        "import atexit, sys; from easrec_nni.cli.main import run; "
        "atexit.register(lambda: print([name for name in ('torch', 'nni') if name in sys.modules])); run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "[]"
