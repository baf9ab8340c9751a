"""Tests stand where their modules stand, and every module has one; both by the files of the checkout.

``tests/easrec_nni/data/test_ids.py`` tests ``easrec_nni/data/ids.py``. A test of several modules of a folder is
named after the folder (``test_data.py``), one that runs over a registry after its seam (``test_contract_sources.py``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = "easrec_nni.cli.main"
TREES = ("easrec_nni", "search_spaces", "strategies", "benchmarks")

WHOLE_PROJECT = {
    "faults": "real processes that are killed, full disks, two experiments side by side",
    "recbole": "whole networks and evaluations against RecBole's wheel",
    "remote_service": "NNI's remote service against a real sshd",
    "web_ui": "NNI's web UI in a real browser",
    "test_documents.py": "README and documents against the repository",
    "test_earlier_versions.py": "files that earlier versions wrote",
    "hostile_files": "files that were made to do harm, at every reader",
    "test_imports.py": "what starting a command imports",
    "test_mirror.py": "this file",
    "test_packaging.py": "what is installed",
}
"""Tests that are of no folder, and why."""

COVERED_THROUGH = {
    "easrec_nni/architecture/onnx_network.py": "tests/easrec_nni/serving/test_onnx_export.py",
    "easrec_nni/common/figures.py": "tests/easrec_nni/report/plots/test_plots.py",
    "easrec_nni/common/hints.py": "easrec_nni/common/hints.py",
    "easrec_nni/common/lazy.py": "easrec_nni/common/lazy.py",
    "easrec_nni/common/yaml_files.py": "tests/easrec_nni/settings/test_trial.py",
    "easrec_nni/report/plots/front.py": "tests/easrec_nni/report/test_front.py",
    "easrec_nni/report/plots/judgement.py": "tests/easrec_nni/report/test_experiments.py",
    "easrec_nni/report/plots/network.py": "tests/easrec_nni/report/test_report.py",
    "easrec_nni/common/run_files.py": "tests/easrec_nni/retraining/test_judgement.py",
    "easrec_nni/report/plots/sweep.py": "tests/easrec_nni/report/test_sweep.py",
    "easrec_nni/report/plots/tradeoff.py": "tests/easrec_nni/report/test_experiments.py",
    "easrec_nni/report/plots/training.py": "tests/easrec_nni/report/test_experiments.py",
    "easrec_nni/report/rendering/markdown.py": "tests/easrec_nni/report/test_writing.py",
    "easrec_nni/report/rendering/page.py": "tests/easrec_nni/report/test_writing.py",
    "easrec_nni/retrain.py": "tests/easrec_nni/training/test_training.py",
    "easrec_nni/settings/assignments.py": "easrec_nni/settings/assignments.py",
    "easrec_nni/training/protocol.py": "tests/easrec_nni/retraining/test_refit.py",
    "search_spaces/exponent.py": "tests/search_spaces/attention/test_contract_attention.py",
}
"""Modules that no test of their own folder reaches, and the test that does, or their own file with its examples."""

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs a checkout")


def _tests() -> list[Path]:
    """Every test file but those of the whole project, from ``tests/`` on."""
    files = sorted(file.relative_to(ROOT / "tests") for file in (ROOT / "tests").rglob("test_*.py"))
    return [file for file in files if file.parts[0] not in WHOLE_PROJECT]


def _modules() -> list[Path]:
    """Every module of the packages but ``__init__.py`` and ``__main__.py``, which hold no logic of their own."""
    files = sorted(file.relative_to(ROOT) for tree in TREES[:3] for file in (ROOT / tree).rglob("*.py"))
    return [file for file in files if not file.name.startswith("__")]


def _dotted(file: Path) -> str:
    """Name by which a module is imported."""
    return ".".join(file.with_suffix("").parts)


def _origin(package: str, name: str) -> str:
    """Module in which something that a package hands on was defined, or the package."""
    try:
        value = getattr(import_module(package), name)
    except (AttributeError, ImportError):
        return package
    return str(getattr(value, "__module__", package))


@cache
def _nodes(file: Path) -> tuple[ast.AST, ...]:
    """Syntax of a file, docstrings left out."""
    nodes = list(ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))))
    documented = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return tuple(node for node in nodes if id(node) not in documented)


@cache
def _words(file: Path) -> frozenset[str]:
    """Texts of a file, among them the commands that it runs."""
    return frozenset(node.value for node in _nodes(file) if isinstance(node, ast.Constant) and type(node.value) is str)


@cache
def _named(file: Path) -> frozenset[str]:
    """Modules of the project that a file imports, anywhere in it, or names in a text (``python -m``, tables)."""
    names = {name for word in _words(file) for name in re.findall(rf"\b(?:{'|'.join(TREES)})(?:\.\w+)+", word)}
    for node in _nodes(file):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "toolkit":
            names.add(_origin("easrec_nni.cli.toolkit", node.attr))  # by which commands import what they run
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in TREES:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
            names.update(_origin(node.module, alias.name) for alias in node.names)
    return frozenset(names)


def _sources(names: Iterable[str]) -> set[Path]:
    """Files of modules and packages."""
    places = [ROOT.joinpath(*name.split(".")) for name in names]
    files = [file for at in places for file in (at.with_suffix(".py"), at / "__init__.py", at / "__main__.py")]
    return {file.relative_to(ROOT) for file in files if file.is_file()}


def _reached(file: Path) -> set[str]:
    """Modules that a test names, that these name, and that a command names which it runs."""
    named = set(_named(file))
    if COMMANDS in named:
        named |= {f"easrec_nni.cli.{word}" for word in _words(file) if word.isidentifier()}
    return named.union(*(_named(source) for source in _sources(named)))


def _runs_over_its_folder(test: Path) -> bool:
    return test.stem in (f"test_{test.parent.name}",) or test.stem.startswith("test_contract_")


def _covered_by_its_folder(module: Path) -> bool:
    """Whether a test of the module's own folder imports it, or a module that does."""
    tests = (ROOT / "tests" / module.parent).glob("test_*.py")
    return any(_dotted(module) in _reached(test.relative_to(ROOT)) for test in tests)


def test_every_test_is_named_after_what_it_tests() -> None:
    wrong = []
    for test in _tests():
        module = ROOT / test.parent / f"{test.stem.removeprefix('test_')}.py"
        if not (module.is_file() or _runs_over_its_folder(test) and (ROOT / test.parent).is_dir()):
            wrong.append(f"tests/{test}: there is no {module.relative_to(ROOT)}")
    assert wrong == [], "move them beside their module, or list them in WHOLE_PROJECT"


def test_every_test_of_a_module_imports_it() -> None:
    wrong = [
        f"tests/{test}"
        for test in _tests()
        if (module := ROOT / test.parent / f"{test.stem.removeprefix('test_')}.py").is_file()
        and _dotted(module.relative_to(ROOT)) not in _reached(Path("tests") / test)
    ]
    assert wrong == []


def test_every_module_is_tested_where_one_looks_for_it() -> None:
    missing = [
        str(module)
        for module in _modules()
        if not (ROOT / "tests" / module.parent / f"test_{module.name}").is_file()
        and not _covered_by_its_folder(module)
        and str(module) not in COVERED_THROUGH
    ]
    assert missing == [], "write a test, or say in COVERED_THROUGH which one runs them"


def test_no_exception_is_out_of_date() -> None:
    assert [name for name in WHOLE_PROJECT if not (ROOT / "tests" / name).exists()] == []
    modules = {str(module) for module in _modules()}
    for module, test in COVERED_THROUGH.items():
        assert module in modules, f"{module} is gone"
        if module == test:
            assert ">>> " in (ROOT / module).read_text(encoding="utf-8"), f"{module} has no examples that pytest runs"
        else:
            assert _dotted(Path(module)) in _reached(Path(test)), f"{test} does not reach {module}"
        assert not (ROOT / "tests" / Path(module).parent / f"test_{Path(module).name}").exists(), (
            f"{module} has its own"
        )
