"""What starting a command imports, and which imports stand inside functions."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from easrec_nni import Architecture, Choice, SpaceConfig
from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.cli.main import COMMANDS
from easrec_nni.tabular.documents import write_table
from tests.easrec_nni.tabular.conftest import random_table

PACKAGE = Path(__file__).resolve().parents[1] / "easrec_nni"
MOST_IN_FUNCTIONS = 15

HEAVY = frozenset(
    ("torch", "nni", "pytorch_lightning", "pandas", "pyarrow", "scipy", "matplotlib", "fvcore", "onnx", "onnxruntime")
    + ("tensorboard", "jinja2", "safetensors")
)
TABLES = frozenset({"pandas", "pyarrow"})
NETWORK = frozenset({"torch", "safetensors"})
REPORT = frozenset({"scipy", "matplotlib", "jinja2"})
# NNI imports pandas and scipy, its one-shot strategies Lightning, and that matplotlib.
TRAINING = NETWORK | TABLES | {"nni", "pytorch_lightning", "scipy", "matplotlib", "fvcore"}

MAY_IMPORT = {
    "demo": NETWORK | TABLES | REPORT | {"fvcore"},  # its trials and trainings are processes of their own
    "init": frozenset(),
    "prepare": TABLES,
    "launch": frozenset(),  # NNI when it reads the file of the experiment
    "resume": frozenset(),
    "search": TRAINING,
    "pareto": TRAINING | REPORT,  # with --evaluate
    "pick": TRAINING,
    "nas": TRAINING,
    "export": NETWORK,  # with --onnx
    "retrain": TRAINING,
    "evaluate": NETWORK,
    "recommend": NETWORK,
    "show": frozenset({"torch", "fvcore"}),  # of a file that does not hold the costs
    "systems": frozenset(),
    "reproduce": REPORT,
    "report": REPORT,
    "bench": TRAINING,
    "table build": TRAINING,
    "profile": TRAINING,
    "table collect": TRAINING,  # it reads the figures of trainings
    "table query": frozenset(),
    "table study": TRAINING | REPORT,  # NNI's strategies
    "table regret": TRAINING | REPORT,
}
"""Heavy packages that the parts of the toolkit import which a command uses in any of its forms."""


def module_of(command: str) -> str:
    """Name of a command's module in the folder of the command line."""
    return COMMANDS[command][0].partition(":")[0].rpartition(".")[2]


def used_by(command: str) -> set[str]:
    """Names of the toolkit that a command's module uses."""
    tree = ast.parse((PACKAGE / "cli" / f"{module_of(command)}.py").read_text())
    uses = (each for each in ast.walk(tree) if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name))
    # Those of every command that trains or evaluates are behind begin_training_command.
    logs = {"use_threads"} if "begin_training_command(" in ast.unparse(tree) else set()
    return {each.attr for each in uses if each.value.id == "toolkit"} | logs  # type: ignore[attr-defined]


def imported_by(program: str, folder: Path, *words: str) -> set[str]:
    """Heavy packages that a program has imported at its end."""
    asked = f"import atexit, sys\natexit.register(lambda: print(list(sys.modules)))\n{program}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", asked, *words],
        cwd=folder, capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip
    return HEAVY & set(ast.literal_eval(done.stdout.splitlines()[-1]))


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    program = f"""
from easrec_nni.cli.main import app, build_command, command_function
for name in {list(COMMANDS)}:
    build_command(name, command_function(name)).main(["--help"], standalone_mode=False)
"""
    assert imported_by(program, tmp_path) == set()


@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=[pytest.mark.slow] if "nni" in allowed else []) for name, allowed in MAY_IMPORT.items()],
)
def test_a_command_imports_what_it_uses_alone(command: str, tmp_path: Path) -> None:
    module = module_of(command)
    program = f"from easrec_nni.cli import {module}, toolkit\nfor name in {used_by(command)}: getattr(toolkit, name)"
    found = imported_by(program, tmp_path)
    assert found <= MAY_IMPORT[command]
    # What the table allows is needed, so that it does not grow old: all but what comes with some version of another.
    assert MAY_IMPORT[command] - found <= {"scipy", "matplotlib", "safetensors", "pyarrow"}


def test_the_toolkit_offers_what_commands_use() -> None:
    imports = [each for each in ast.walk(ast.parse((PACKAGE / "cli" / "toolkit.py").read_text()))]
    offered = {alias.name for each in imports if isinstance(each, ast.ImportFrom) for alias in each.names}
    used = set.union(*map(used_by, COMMANDS))
    assert set(MAY_IMPORT) == set(COMMANDS)
    assert offered - {"annotations", "TYPE_CHECKING", "lazy_names"} == used


RUN = "from easrec_nni.cli.main import run; run()"


@pytest.mark.parametrize(
    "words, allowed",
    [
        (["--version"], frozenset()),
        (["--help"], frozenset()),
        (["init", "mine"], frozenset()),
        (["systems"], frozenset()),
        (["show", "architecture.json"], frozenset()),
        (["show", "results.json"], frozenset()),
        (["export", "--experiment", "results.json"], frozenset()),
        (["prepare", "log.csv", "--out", "prepared"], TABLES),
        (["report", "results.json"], REPORT),
        (["table", "query", "table.json"], frozenset()),
    ],
    ids=lambda each: " ".join(word for word in each[:2] if word.isalpha()) if isinstance(each, list) else None,
)
def test_a_run_imports_no_more(words: list[str], allowed: frozenset[str], tmp_path: Path) -> None:
    space = SpaceConfig(n_items=50, max_length=10, hidden=16, inner=32, heads=2, layers=2)
    choice = Choice(hidden_pruning=0.5, inner_pruning=0.25, depth=1)
    costs = {
        "cost": architecture_cost(space, choice).as_dict(),
        "unpruned_cost": architecture_cost(space, space.largest).as_dict(),
    }
    architecture = Architecture(choices=choice, space=space, **costs)
    architecture.write(tmp_path / "architecture.json")
    write_table(random_table(), tmp_path / "table.json")
    result = {"default": 0.1, "architecture": architecture.to_json(None)}
    (tmp_path / "results.json").write_text(json.dumps(result))
    rows = [f"u{user},i{(user + step) % 20},{step}" for user in range(12) for step in range(8)]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    assert imported_by(RUN, tmp_path, *words) <= allowed


def in_functions() -> Iterator[tuple[Path, int]]:
    """Lines of imports of our own or others' packages that stand inside functions."""
    for file in sorted(PACKAGE.rglob("*.py")):
        functions = [
            each
            for each in ast.walk(ast.parse(file.read_text()))
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        ]
        lines = {}
        for each in (inner for function in functions for inner in ast.walk(function)):
            names = (
                [alias.name for alias in each.names]
                if isinstance(each, ast.Import)
                else [each.module or ""]
                if isinstance(each, ast.ImportFrom)
                else []
            )
            if any(name.partition(".")[0] not in sys.stdlib_module_names for name in names):
                lines[each.lineno] = file  # type: ignore[attr-defined]
        yield from ((file, line) for line in lines)


def test_few_imports_stand_inside_functions_and_each_says_why() -> None:
    found = list(in_functions())
    assert len(found) <= MOST_IN_FUNCTIONS, "\n".join(f"{file.relative_to(PACKAGE)}:{line}" for file, line in found)
    for file, line in found:
        with file.open("rb") as content:
            tokens = tokenize.tokenize(content.readline)
            comments = [each.string for each in tokens if each.type == tokenize.COMMENT and each.start[0] == line]
        assert comments and len(comments[0].split()) > 2, f"{file.relative_to(PACKAGE)}:{line} says no reason"


@pytest.mark.parametrize("package", ["easrec_nni", "easrec_nni.data", "easrec_nni.settings", "search_spaces"])
def test_names_that_packages_import_on_use_are_there(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'no_such_name'"):
        module.no_such_name  # noqa: B018
