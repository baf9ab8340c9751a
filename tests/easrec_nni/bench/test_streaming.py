"""Streams measured in alternation with recomputation, and the check that both give the same scores."""

from __future__ import annotations

import json

import pytest

from easrec_nni.bench import streaming as streaming_module
from easrec_nni.bench.measurement import Bench, BenchRequest
from easrec_nni.bench.measurements import ALL


def test_streams_take_turns_with_recomputation_and_equal_it(
    request_: BenchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming_module, "QUICK_HISTORIES", (5, 8, 300))
    choices = {"hidden_pruning": 0, "inner_pruning": 0.5, "depth": 1}
    figures = ALL["streaming"].measure(Bench(request_.model_copy(update={"choices": choices})))
    json.dumps(figures, allow_nan=False)
    for name in ("unpruned", "searched"):
        network = figures[name]
        assert network["history"] == 8 and network["bytes_per_user"] > 0
        assert [row["users_at_once"] for row in network["rows"]] == [1, 3]
        for row in network["rows"]:
            assert list(row["update_ms"]) == list(row["times_as_fast"]) == ["5", "8", "300"]
            update, recomputed, ratio = row["update_ms"]["8"], row["recomputing_ms"], row["times_as_fast"]["8"]
            assert 0 < update["min"] <= update["median"] <= update["max"]
            assert (
                recomputed["min"] / update["max"] <= ratio["min"] <= ratio["max"] <= recomputed["max"] / update["min"]
            )
        differences = network["largest_difference_of_scores"]
        assert differences["events"] == 300 and max(differences["event_by_event"], differences["in_bulk"]) < 1e-4
    assert figures["searched"]["bytes_per_user"] < figures["unpruned"]["bytes_per_user"]
    table = ALL["streaming"].table(figures)
    assert [line.split(" | ")[0] for line in table if line[:3] in ("| 1", "| 3")] == ["| 1", "| 3"] * 2
    assert sum("times as fast after 8 |" in line for line in table) == 2
