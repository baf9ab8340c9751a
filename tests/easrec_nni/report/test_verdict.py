from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.figures import Picture
from easrec_nni.report.accuracy import compared_systems
from easrec_nni.report.composing import compose
from easrec_nni.report.reading import read_study
from easrec_nni.report.sections import merge_studies
from easrec_nni.report.verdict import verdict

WriteStudy = Callable[..., Path]


def _verdict(path: Path) -> str:
    (section,) = merge_studies([read_study(path)])
    return verdict(section, compared_systems(section))


def test_a_clear_winner_is_named_with_its_runner_up_and_cost(write_study: WriteStudy, tmp_path: Path) -> None:
    systems = {"easrec": 1.5, "sasrec": 0.0, "darts": 0.5}
    path = write_study(tmp_path / "s", systems, users=400, seeds=range(5), madds={"sasrec": 8e6})
    text = _verdict(path)
    assert text.startswith(
        "On ml-100k, of 3 systems (5 seeds each), EASRec has the highest mean NDCG@10 by full ranking"
    )
    assert "significantly more than each other one; the next is DARTS + SASRec (0." in text
    assert "tested against, EASRec is significantly better than 2 and worse than 0; 0 cannot be told apart" in text
    assert "EASRec takes 50% of the multiply-adds of SASRec; its NDCG@10 is significantly higher, 0." in text
    assert "The accuracy of SASRec is kept within 2% (90% interval" in text


def test_equal_systems_are_not_ranked(write_study: WriteStudy, tmp_path: Path) -> None:
    text = _verdict(write_study(tmp_path / "s", {"easrec": 0.0, "sasrec": 0.0}, madds={"easrec": 9e6}))
    assert "which cannot be told apart from the next" in text and "that it is first may be chance" in text
    assert "significantly more" not in text and "significantly higher" not in text
    assert "EASRec takes 2.25 times the multiply-adds of SASRec, more and not fewer" in text
    assert "cannot be told apart (95 % interval of the difference over users −0." in text
    assert "which does not show that they are equal. Whether it keeps the accuracy of SASRec within 2%, " in text
    assert text.endswith(" %).") and "users cannot tell (90% interval of the relative difference over users −" in text


def test_a_worse_easrec_is_said_to_be_worse(write_study: WriteStudy, tmp_path: Path) -> None:
    text = _verdict(write_study(tmp_path / "s", {"easrec": 0.0, "sasrec": 1.5}, users=400, seeds=range(5)))
    assert "SASRec has the highest mean" in text and "significantly better than 0 and worse than 1" in text
    assert "its NDCG@10 is significantly lower, 0." in text
    assert "More than 2% of the accuracy of SASRec is lost (90% interval" in text


def test_what_was_not_tested_is_not_claimed(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study(tmp_path / "s", {"easrec": 1.5, "sasrec": 0.0}, users=400)
    for file in path.glob("cells/*/*/ranks.npz"):
        file.unlink()
    single = write_study(tmp_path / "single", {"easrec": 1.5, "sasrec": 0.0}, users=400, seeds=(0,))
    for text in (_verdict(path), _verdict(single)):
        assert "whether it differs from the next, SASRec (0." in text and "was not tested" in text
        assert "significant" not in text and "told apart" not in text


def test_a_single_system_and_none_at_all(write_study: WriteStudy, tmp_path: Path) -> None:
    assert ", 3 seeds) is the only complete system" in _verdict(write_study(tmp_path / "one", {"sasrec": 0.0}))
    variants = write_study(tmp_path / "v", {"easrec": 0.0, "easrec-gates0": 0.0}, sweep=(0.1, 0.5))
    expected = "is the only complete system of the main tables; 3 variants and settings of EASRec are compared with it"
    assert expected in _verdict(variants)
    one = write_study(tmp_path / "w", {"easrec": 0.0, "easrec-gates0": 0.0})
    assert "of the main tables; 1 variant of EASRec is compared with it below." in _verdict(one)
    text = _verdict(write_study(tmp_path / "none", {"easrec-gates0": 0.0}))
    assert text == "On ml-100k no system that could be compared is complete yet."


def test_without_sasrec_nothing_is_said_of_its_cost(write_study: WriteStudy, tmp_path: Path) -> None:
    text = _verdict(write_study(tmp_path / "s", {"easrec": 0.1, "popularity": -0.9}))
    assert "multiply-adds" not in text and text.endswith(".")


@pytest.mark.parametrize(
    ("select_by", "suited", "first"),
    [
        ("ndcg@10_unseen", "", "SASRec has the highest mean NDCG@10 by ranking of unseen items"),
        ("auto", "unseen", "SASRec has the highest mean NDCG@10 by ranking of unseen items"),
        ("cross_entropy_full", "unseen", "SASRec has the highest mean NDCG@10 by ranking of unseen items"),
        ("ndcg@10_full", "unseen", "EASRec has the highest mean NDCG@10 by full ranking"),
        ("auto", "full", "EASRec has the highest mean NDCG@10 by full ranking"),
        ("auto", "", "EASRec has the highest mean NDCG@10 by full ranking"),
    ],
)
def test_the_ranking_that_selected_decides(
    write_study: WriteStudy, tmp_path: Path, select_by: str, suited: str, first: str
) -> None:
    path = write_study(tmp_path / "s", {"easrec": 1.5, "sasrec": 0.0}, users=400)
    for seed in range(3):  # EASRec is better by all rankings but that of unseen items
        cells = [path / "cells" / system / f"seed{seed}" for system in ("easrec", "sasrec")]
        ranks = [dict(np.load(cell / "ranks.npz")) for cell in cells]
        results = [json.loads((cell / "result.json").read_text()) for cell in cells]
        for cell, own, result, others, other in zip(cells, ranks, results, ranks[::-1], results[::-1], strict=True):
            np.savez(cell / "ranks.npz", **{**own, "test_unseen": others["test_unseen"]})
            unseen = {key: value for key, value in other["test"].items() if key.endswith("_unseen")}
            dataset = {**result["dataset"], "suited_ranking": suited}
            settings = {**result["settings"], "select_by": select_by}
            changed = {**result, "test": {**result["test"], **unseen}, "dataset": dataset, "settings": settings}
            (cell / "result.json").write_text(json.dumps(changed))
    assert first in _verdict(path)
    (section,) = merge_studies([read_study(path)])
    content = compose(section)
    records = content.data["accuracy-cost"]
    assert [record["pareto"] for record in records] == [record["system"] in first.lower() for record in records]
    drawn = [block for chapter in content.chapters for block in chapter.blocks if isinstance(block, Picture)]
    by = first.partition(" by ")[2]
    assert by in next(block for block in drawn if block.name == "accuracy-cost").svg
