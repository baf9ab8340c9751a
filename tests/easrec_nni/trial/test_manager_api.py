from __future__ import annotations

import json
from typing import Any

import pytest

from easrec_nni.trial.manager_api import parse_result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(json.dumps({"default": 0.5, "seed": 1})), {"default": 0.5, "seed": 1}),
        (json.dumps({"default": 0.5}), {"default": 0.5}),
        (json.dumps(json.dumps(0.25)), {"default": 0.25}),
        (0.25, {"default": 0.25}),
        ("not JSON", {"default": "not JSON"}),
        ("[" * 200_000, {"default": "[" * 200_000}),
        (json.dumps([1, 2]), {"default": [1, 2]}),
        (None, {"default": None}),
    ],
    ids=["twice", "once", "number", "bare", "words", "deep", "list", "nothing"],
)
def test_results_as_nni_keeps_them(text: Any, expected: dict[str, Any]) -> None:
    assert parse_result(text) == expected
