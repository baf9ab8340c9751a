from __future__ import annotations

from easrec_nni.architecture import run_folder
from easrec_nni.serving import runs


def test_the_former_place_of_open_run_still_has_it() -> None:
    assert runs.open_run is run_folder.open_run
