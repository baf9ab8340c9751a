"""Curves as files and as a plot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.peers.__main__ import main
from benchmarks.peers.drawing import curves_plot, read_curve
from easrec_nni.common.errors import UserError

HISTORY = "epoch,train_loss,seconds,ndcg@10_full\n-1,nan,2,0.01\n0,5.0,10,0.1\n1,4.0,11,0.3\n"
PEER = {
    "ranking": "full",
    "rows": [
        {"epoch": 1, "seconds": 100.0, "valid_ndcg@10_full": 0.1, "test_ndcg@10_full": 0.09},
        {"epoch": 2, "seconds": 200.0, "valid_ndcg@10_full": 0.2, "test_ndcg@10_full": 0.19},
    ],
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    history, peer = tmp_path / "history.csv", tmp_path / "peer.json"
    history.write_text(HISTORY)
    peer.write_text(json.dumps(PEER))
    return history, peer


def test_a_history_is_a_curve_with_seconds_from_the_start(files: tuple[Path, Path], tmp_path: Path) -> None:
    rows = read_curve(files[0])["rows"]
    assert [(row["seconds"], row["valid_ndcg@10_full"]) for row in rows] == [(2, 0.01), (12, 0.1), (23, 0.3)]
    assert read_curve(files[1]) == PEER
    for text in ("[]", "{}", '{"rows": 3}'):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(UserError, match="holds no curve"):
            read_curve(tmp_path / "other.json")


def test_every_system_has_a_line_and_its_best_epoch_a_point(files: tuple[Path, Path]) -> None:
    curves = {name: read_curve(file)["rows"] for name, file in zip(("ours", "a peer"), files, strict=True)}
    svg = curves_plot(curves, "full", "tiny").svg
    assert ">ours<" in svg and ">a peer<" in svg and "NDCG@10 full, validation" in svg


def test_commands_draw_and_compare(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot-curves", f"ours={files[0]}", f"a peer={files[1]}", "--out", str(tmp_path / "plot.png")]) == 0
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert main(["compare-curves", str(files[0]), str(files[1]), "--out", str(tmp_path / "ratio.json")]) == 0
    result = json.loads((tmp_path / "ratio.json").read_text())
    assert result["valid"] == {"target": 0.2, "peer_seconds": 200, "our_seconds": 23, "times_as_fast": 200 / 23}
    assert "test" not in result and result["ranking"] == "full"
    assert main(["plot-curves", f"ours={files[0]}", "--ranking", "unseen", "--out", str(tmp_path / "plot.png")]) == 2
    assert "ours has no epoch with valid_ndcg@10_unseen" in capsys.readouterr().err
    assert main(["plot-curves", "ours", "--out", str(tmp_path / "plot.png")]) == 2
    assert "'ours' must be NAME=FILE" in capsys.readouterr().err
