from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "from easrec_nni.common.provenance import command_line\nprint(command_line())\n"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["-m", "tools.deep.trial", "--study", "a b"], "python -m tools.deep.trial --study 'a b'"),
        (["-m", "tools"], "python -m tools"),
        (["-m", "tools.cli", "--x"], "python -m tools.cli --x"),  # no program is known by its folder's name
        (["tools/cli.py", "1"], "python tools/cli.py 1"),
        (["{here}/tools/cli.py"], "python cli.py"),
        (["{here}/easrec", "report"], "easrec report"),
    ],
)
def test_the_command_is_the_one_that_was_typed(words: list[str], command: str, tmp_path: Path) -> None:
    for name in ("tools/__main__.py", "tools/cli.py", "tools/deep/trial.py", "easrec"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, *(word.format(here=tmp_path) for word in words)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), str(tmp_path)])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == command, done.stderr
