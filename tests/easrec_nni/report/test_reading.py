from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.evaluation.figures import PROTOCOLS
from easrec_nni.report.reading import read_history, read_study

WriteStudy = Callable[..., Path]


def _edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_a_study_is_read_with_its_cells_ranks_and_measurements(write_study: WriteStudy, tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path / "s", {"easrec": 0.1, "sasrec": 0.0}, seeds=(0, 1)))
    assert [(cell.result.system, cell.result.seed) for cell in study.cells] == [
        ("easrec", 0),
        ("easrec", 1),
        ("sasrec", 0),
        ("sasrec", 1),
    ]
    assert study.cells[0].ranks["full"].shape == (60,)
    assert study.efficiency is not None and [row.system for row in study.efficiency.rows] == ["easrec", "sasrec"]
    assert study.unfinished == ()


def test_cells_that_are_missing_or_only_begun_are_unfinished(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1, "sasrec": 0.0}, tables=["table3", "fig4"], sweep=(0.0, 0.5))
    shutil.rmtree(path / "cells" / "sasrec" / "seed2")
    shutil.rmtree(path / "cells" / "easrec--lambda=0.5" / "seed1")
    (path / "cells" / "easrec" / "seed1" / "result.json").unlink()
    (path / "cells" / "darts" / "seed7").mkdir(parents=True)
    study = read_study(path)
    assert study.unfinished == ("darts/seed7", "easrec--lambda=0.5/seed1", "easrec/seed1", "sasrec/seed2")
    assert len(study.cells) == 12 - 3


def test_a_sweep_alone_asks_for_no_plain_cells(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1}, tables=["fig4"], sweep=(0.0, 0.5))
    shutil.rmtree(path / "cells" / "easrec")
    assert read_study(path).unfinished == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("test"), r"the key 'test' is missing"),
        (lambda d: d["test"].pop("ndcg@10_full"), r"ndcg@10_full is missing"),
        (lambda d: d["test"].update({"mrr@10_full": 1.5}), r"mrr@10_full=1.5 is not between 0 and 1"),
        (lambda d: d.update(schema_version=2), r"schema_version"),
        (lambda d: d.update(seed="many"), r"seed"),
        (lambda d: d["cost"].update(madds_per_user=-1), r"madds_per_user is negative"),
        (lambda d: d["dataset"].update(fingerprint="other"), r"is of another dataset than its study"),
    ],
)
def test_a_damaged_result_is_one_line_with_its_remedy(
    write_study: WriteStudy, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1})
    _edit(path / "cells" / "easrec" / "seed1" / "result.json", change)
    with pytest.raises(UserError, match=message) as caught:
        read_study(path)
    assert "seed1" in caught.value.message and "run the same `easrec reproduce` again" in caught.value.message


@pytest.mark.parametrize("text", ['{"schema_version": 1, "sys', "", "[]", '{"seed": NaN}', "[" * 100_000, "\x00\xff"])
def test_what_is_no_json_object_is_refused(write_study: WriteStudy, tmp_path: Path, text: str) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1})
    for name in ("study.json", "efficiency.json", "cells/easrec/seed0/result.json"):
        original = (path / name).read_bytes()
        (path / name).write_bytes(text.encode("latin-1"))
        with pytest.raises(UserError, match=name.rpartition("/")[2]):
            read_study(path)
        (path / name).write_bytes(original)
    read_study(path)


def test_what_is_no_study_is_refused(write_study: WriteStudy, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a study folder: it has no study\.json"):
        read_study(tmp_path)
    path = write_study(tmp_path / "s", {"easrec": 0.1})
    shutil.rmtree(path / "cells")
    with pytest.raises(UserError, match="no complete cell yet"):
        read_study(path)


def test_ranks_may_be_missing_but_not_damaged_or_of_another_run(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 0.1})
    file = path / "cells" / "easrec" / "seed0" / "ranks.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"ranks\.npz is damaged"):
        read_study(path)
    shutil.copy(path / "cells" / "easrec" / "seed1" / "ranks.npz", file)
    with pytest.raises(UserError, match=r"ranks\.npz gives ndcg@10_full=.*result\.json"):
        read_study(path)
    np.savez(file, **{f"test_{name}": np.zeros(60, dtype=np.int64) for name in PROTOCOLS})
    with pytest.raises(UserError, match="ranks are whole numbers from 1"):
        read_study(path)
    file.unlink()
    assert read_study(path).cells[0].ranks == {}


def test_a_history_is_read_and_a_damaged_one_refused(tmp_path: Path) -> None:
    file = tmp_path / "history.csv"
    assert read_history(file) == []
    file.write_text("epoch,train_loss,note\n0,7.5,\n1,nan,2\n")
    assert read_history(file) == [{"epoch": 0.0, "train_loss": 7.5}, {"epoch": 1.0, "note": 2.0}]
    file.write_text("epoch,train_loss\n0,seven\n")
    with pytest.raises(UserError, match=r"history\.csv is damaged"):
        read_history(file)
