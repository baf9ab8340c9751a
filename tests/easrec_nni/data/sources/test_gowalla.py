"""Gowalla from a small file in SNAP's form."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, prepare
from easrec_nni.data.sources.gowalla import GowallaSource
from tests.histories import histories

pytestmark = pytest.mark.usefixtures("any_size")  # reading is tested, with a few rows


GOWALLA = """\
0\t2010-10-19T23:55:27Z\t30.2359091167\t-97.7951395833\t22847
0\t2010-10-18T22:17:43Z\t30.2691029532\t-97.7493953705\t420315
0\t2010-10-18T22:17:43Z\t30.2557309927\t-97.7633857727\t316637
1\t2010-10-17T00:00:00Z\t30.2634181234\t-97.7575966669\t22847
1\t2010-10-16T23:59:59Z\t30.2634181234\t-97.7575966669\t420315
"""


@pytest.mark.parametrize("packed", [True, False])
def test_gowalla(packed: bool, tmp_path: Path) -> None:
    file = tmp_path / ("loc-gowalla_totalCheckins.txt" + ".gz" * packed)
    file.write_bytes(gzip.compress(GOWALLA.encode()) if packed else GOWALLA.encode())
    dataset = prepare(GowallaSource().name, tmp_path / "out", path=tmp_path)
    assert histories(dataset) == {"0": ["420315", "316637", "22847"], "1": ["420315", "22847"]}
    assert dataset.times.tolist()[:3] == [1287440263, 1287440263, 1287532527]
    assert dataset.times.dtype == np.int64 and dataset.item_features == {}
    assert dataset.manifest.source.files[0].sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_gowalla_keeps_returns_and_drops_repeated_lines(tmp_path: Path) -> None:
    again = "1\t2010-10-17T00:00:00Z\t30.2634181234\t-97.7575966669\t22847\n"
    later = again.replace("2010-10-17T00", "2010-10-17T05")
    file = tmp_path / "loc-gowalla_totalCheckins.txt"
    file.write_text(GOWALLA + again + later)
    dataset = prepare(GowallaSource().name, tmp_path / "out", path=file)
    assert histories(dataset) == {"0": ["420315", "316637", "22847"], "1": ["420315", "22847", "22847"]}
    assert dataset.manifest.dropped == {"rows that repeat user, item and time of another": 1}
    core = PrepareSettings(min_user_interactions=3, min_item_interactions=2)
    with pytest.raises(UserError, match="no interaction is left"):  # without 316637, user 0 has two, and so on
        prepare(GowallaSource().name, tmp_path / "core", path=file, settings=core)
    pairs = PrepareSettings(min_user_interactions=2, min_item_interactions=2)
    prepared = prepare(GowallaSource().name, tmp_path / "pairs", path=file, settings=pairs)
    assert prepared.item_ids.tolist() == ["", "22847", "420315"]


def test_gowalla_has_no_ratings(tmp_path: Path) -> None:
    file = tmp_path / "checkins.txt"
    file.write_text(GOWALLA)
    with pytest.raises(UserError, match="leave out --min-rating"):
        prepare(GowallaSource().name, tmp_path / "out", path=file, settings=PrepareSettings(min_rating=3))
