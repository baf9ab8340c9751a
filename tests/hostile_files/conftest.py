"""Malicious and damaged files, at every reader of the package: nothing is executed, one line says what is wrong.

The readers' own tests say what they accept; here are the files that were made to do harm.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from search_spaces import Choice, SpaceConfig

SPACE = SpaceConfig(n_items=9, max_length=4, hidden=8, inner=16, heads=2, layers=2)
FOUND = Architecture(choices=Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=1), space=SPACE)
DEPTH = 100_000
EXPERIMENT = "abcd1234"


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


@pytest.fixture(autouse=True)
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that is there only if something was executed."""
    file = tmp_path / "canary"
    yield file
    assert not file.exists(), "something was executed"


def refused(read: Callable[[], Any]) -> str:
    """The message of a reader that must refuse what it got: one line, harmless and short."""
    with pytest.raises(UserError) as caught:
        read()
    message = caught.value.message
    assert message.isprintable() and len(message) < 2100
    return message
