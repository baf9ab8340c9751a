from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("easrec_nni", "search_spaces", "strategies")

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs a checkout")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy: building leaves files behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(out)]
    subprocess.run([*command, str(source)], check=True)
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_all_modules_and_examples(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
        for file in (ROOT / package).rglob("*.py"):
            assert file.relative_to(ROOT).as_posix() in names
    for file in (ROOT / "examples").rglob("*.yml"):
        assert f"easrec_nni/{file.relative_to(ROOT).as_posix()}" in names
    assert {"easrec_nni/experiments/nni_loopback.cjs", "easrec_nni/experiments/nni_patience.cjs"} <= names
    page = ("report.html.jinja", "style.css", "sort.js")
    assert {f"easrec_nni/report/rendering/{name}" for name in page} <= names
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests", "examples")) for name in names)


@pytest.mark.slow
def test_the_wheel_works_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import sys; sys.path.insert(0, 'site'); import easrec_nni.cli.main as main; "
        "assert 'site' in main.__file__, main.__file__; sys.argv = ['easrec', 'init', 'mine']; main.run()"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, check=True)
    assert (tmp_path / "mine" / "settings" / "ml100k.yml").is_file()


def test_every_direct_dependency_is_pinned_within_its_range() -> None:
    from packaging.requirements import Requirement

    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    pins = {_normal(name): version for name, _, version in (line.partition("==") for line in lines)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[_normal(requirement.name)]), text


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
