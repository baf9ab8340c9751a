"""Answers of NNI's manager: how results are written in them, and errors of damaged ones."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["DAMAGE", "parse_result"]


DAMAGE = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError)
"""What comes of reading records that hold something else than NNI writes."""


def parse_result(text: Any) -> dict[str, Any]:
    """A reported result; NNI keeps it as JSON within JSON, and a bare number stands for ``default``."""
    value: Any = text
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                break
    return value if isinstance(value, dict) else {"default": value}
