"""README and documents: links, files of figures, commands, and the drawing of the layers, against the repository."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from easrec_nni.cli.main import COMMANDS, GROUPS, build_command, command_function

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FIGURES = ("results", "performance")
ANY_DOCUMENT = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs a checkout")


def _anchors(document: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@ANY_DOCUMENT
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            name, _, anchor = target.partition("#")
            file = document.parent / name if name else document
            assert file.is_file(), target
            assert not anchor or anchor in _anchors(file), target


@ANY_DOCUMENT
def test_result_files_that_are_named_exist(document: Path) -> None:
    for name in re.findall(r"benchmarks/[\w./*-]*\w", document.read_text(encoding="utf-8")):
        assert list(ROOT.glob(name)), name


@pytest.mark.parametrize("name", FIGURES)
def test_every_table_of_figures_names_its_file(name: str) -> None:
    sections = re.split(r"^##+ ", (ROOT / f"docs/{name}.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    tables = [section for section in sections if "\n|" in section and not section.startswith("The demo\n")]
    assert len(tables) >= 3
    for section in tables:
        assert "benchmarks/results/" in section, section.partition("\n")[0]


@ANY_DOCUMENT
def test_commands_and_their_options_exist(document: Path) -> None:
    options = {name: _options(name) for name in COMMANDS}
    text = re.sub(r" \\\n +", " ", document.read_text(encoding="utf-8"))  # lines continued by a backslash
    for line in re.findall(r"^ {4}(?:.*&& )?easrec (.+)$", text, flags=re.MULTILINE):
        command, *words = shlex.split(line.partition(" < ")[0], comments=True)
        if command in GROUPS:
            command, *words = f"{command} {words[0]}", *words[1:]
        for word in words[: words.index("&&")] if "&&" in words else words:
            assert not word.startswith("--") or word.partition("=")[0] in options[command], line


def _options(name: str) -> set[str]:
    command = build_command(name, command_function(name))
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180


def test_the_drawing_has_the_layers_of_the_contracts() -> None:
    """Names and order, against ``[tool.importlinter]``."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    toolkit, packages = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    drawing = re.search(r"```text\n(.*?)```", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.DOTALL)
    assert drawing is not None
    rows = [re.split(r"\s{2,}", line.strip())[0] for line in drawing[1].splitlines() if line.strip("-")]
    assert rows == [packages[0], *toolkit, *packages[1:]]
