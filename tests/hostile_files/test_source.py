"""The source itself: what could execute a file's contents is not called, or only in the way that cannot."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

import easrec_nni
from tests.hostile_files.conftest import Trap

FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "tarfile"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "yaml.full_load", "yaml.unsafe_load"),
    *("pd.read_pickle", "shutil.unpack_archive", "torch.jit.load", "pd.eval"),
}
NEEDED_KEYWORDS = {"np.load": ("allow_pickle", False), "torch.load": ("weights_only", True)}
ROOT = Path(easrec_nni.__file__).parents[1]
SOURCES = sorted(file for name in ("easrec_nni", "search_spaces", "strategies") for file in (ROOT / name).rglob("*.py"))


def unsafe_calls(source: str) -> list[str]:
    """What in a source could execute what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)}
        keyword, value = NEEDED_KEYWORDS.get(name, (None, None))
        wrong = name in FORBIDDEN_CALLS or name.endswith(".extractall")
        if wrong or given.get("shell") is True or (keyword and given.get(keyword) is not value):
            found.append(name)
    return found


def test_the_search_for_unsafe_calls_finds_them() -> None:
    lines = ["import pickle", "eval(x)", "np.load(f)", "torch.load(f, weights_only=False)", "run(c, shell=True)"]
    assert [len(unsafe_calls(line)) for line in lines] == [1] * len(lines)
    assert unsafe_calls("np.load(f, allow_pickle=False); torch.load(f, weights_only=True); model.eval()") == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_source_calls_what_executes_files(file: Path) -> None:
    assert unsafe_calls(file.read_text(encoding="utf-8")) == []


def test_the_trap_works(canary: Path) -> None:
    pickle.loads(pickle.dumps(Trap(canary)))
    assert canary.exists()
    canary.unlink()
