"""Start-up times relative to importing torch, and programs that fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from easrec_nni import Architecture, SpaceConfig
from easrec_nni.bench import startup


def test_programs_are_started_in_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = SpaceConfig(n_items=50, max_length=10, hidden=16, inner=32, heads=2, layers=2)
    places = {"whole": tmp_path / "whole", "broken": tmp_path / "broken"}
    for place in places.values():
        place.mkdir()
        startup.write_inputs(place, Architecture(choices=space.largest, space=space))
    (places["broken"] / "log.csv").unlink()
    programs = {startup.TORCH: ("-c", "sum(range(3_000_000))"), "reads": ("-c", "open('log.csv')")}
    monkeypatch.setattr(startup, "PROGRAMS", programs)
    figures = startup.time_programs(places, list(programs), 2)
    assert figures["broken"]["reads"] == {"failed": True}
    reads = figures["whole"]["reads"]
    assert 0 < reads["processor_seconds"]["min"] <= reads["processor_seconds"]["max"] <= reads["seconds"]["max"]
    assert 0 < reads["share_of_import_torch"]["median"] < 1
    assert figures["whole"][startup.TORCH]["share_of_import_torch"]["median"] == 1
