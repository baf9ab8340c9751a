"""Conversion for the peers keeps the dataset's users, items, order and split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.peers.conversion import convert
from easrec_nni.data import Dataset, prepare
from easrec_nni.data.batches.evaluation import EvaluationBatches


def test_recboles_file_holds_every_interaction_in_order(tiny_dataset: Dataset, tmp_path: Path) -> None:
    convert(tiny_dataset, tmp_path)
    frame = pd.read_csv(tmp_path / "log" / "log.inter", sep="\t")
    assert list(frame.columns) == ["user_id:token", "item_id:token", "timestamp:float"]
    for user, part in frame.groupby("user_id:token"):
        begin, end = tiny_dataset.offsets[user : user + 2]
        in_time = part.sort_values("timestamp:float")
        assert in_time["item_id:token"].tolist() == tiny_dataset.items[begin:end].tolist()
        assert part["timestamp:float"].is_unique  # no two that a peer could exchange
    assert len(frame) == len(tiny_dataset.items)


def test_histories_are_those_of_our_evaluation(tiny_dataset: Dataset, tmp_path: Path) -> None:
    log = convert(tiny_dataset, tmp_path)
    for part in ("valid", "test"):
        ids, lengths = log.histories(part, 5)
        places = log.valid_places if part == "valid" else log.test_places
        for batch in EvaluationBatches(tiny_dataset, part, 5, 7):
            for row, ours, target in zip(batch.rows.tolist(), batch.ids.tolist(), batch.targets.tolist(), strict=True):
                assert ids[row, : lengths[row]].tolist() == [item for item in ours if item]
                assert not ids[row, lengths[row] :].any()
                assert log.items[places[row]] == target


def test_targets_are_in_no_training_part(tiny_dataset: Dataset, tmp_path: Path) -> None:
    log = convert(tiny_dataset, tmp_path)
    users, places = log.training_part()
    assert not set(places) & (set(log.valid_places) | set(log.test_places))
    assert len(places) + 2 * len(log.users) == len(log.items)
    assert (np.searchsorted(log.offsets, places, side="right") - 1 == users).all()


def test_item_features_go_along(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text(
        "user_id:token\titem_id:token\ttimestamp:float\n" + "".join(f"u{n % 3}\ti{n % 4}\t{n}\n" for n in range(15)),
    )
    (tmp_path / "a.item").write_text("item_id:token\tgenre:token_seq\ni0\tcrime drama\ni1\tdrama\ni2\t\ni3\tcrime\n")
    dataset = prepare(tmp_path / "a.inter", tmp_path / "prepared")
    log = convert(dataset, tmp_path / "log")
    lines = (tmp_path / "log" / "log" / "log.item").read_text().splitlines()
    assert log.features == ("genre",) and lines[0] == "item_id:token\tgenre:token_seq"
    cells = dict(line.split("\t") for line in lines[1:])
    numbers = {name: str(number) for number, name in enumerate(dataset.item_ids)}
    assert set(cells[numbers["i1"]].split()) < set(cells[numbers["i0"]].split())
    assert cells[numbers["i2"]] == ""


def test_another_preparation_is_written_anew(tiny_dataset: Dataset, tmp_path: Path) -> None:
    convert(tiny_dataset, tmp_path / "log")
    rows = [f"u{n % 3},i{n % 5},{n}" for n in range(15)]
    (tmp_path / "other.csv").write_text("user,item,time\n" + "\n".join(rows))
    other = prepare(tmp_path / "other.csv", tmp_path / "prepared")
    assert convert(other, tmp_path / "log").items.tolist() == other.items.tolist()
