"""Lazy imports of a package's public names: importing torch and NNI takes seconds."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import getsource

__all__ = ["lazy_names"]


def lazy_names(package: str) -> Callable[[str], object]:
    """Module ``__getattr__`` that runs the package's ``TYPE_CHECKING`` imports, each on first use.

    These imports, which editors and mypy read, are thus the only list of the package's names.

    Parameters
    ----------
    package
        ``__name__`` of the package, which has ``if TYPE_CHECKING:`` with lines ``from module import name, …``.

    Examples
    --------
    >>> import easrec_nni.data
    >>> __getattr__ = lazy_names("easrec_nni.data")
    >>> __getattr__("Manifest").__name__
    'Manifest'
    >>> __getattr__("Nothing")
    Traceback (most recent call last):
      ...
    AttributeError: module 'easrec_nni.data' has no attribute 'Nothing'
    """

    @cache
    def modules() -> dict[str, str]:
        statements = ast.parse(getsource(sys.modules[package])).body
        blocks = [statement for statement in statements if isinstance(statement, ast.If)]
        imports = [line for block in blocks for line in block.body if isinstance(line, ast.ImportFrom)]
        return {alias.name: line.module or "" for line in imports for alias in line.names}

    def load(name: str) -> object:
        if name.startswith("_") or name not in modules():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules()[name]), name)

    return load
