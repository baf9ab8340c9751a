"""Douban from a small file in Kaggle's form."""

from __future__ import annotations

from pathlib import Path

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, prepare
from easrec_nni.data.sources.douban import DoubanSource
from tests.histories import histories

pytestmark = pytest.mark.usefixtures("any_size")  # reading is tested, with a few rows


DOUBAN = '''\
ID,Movie_Name_EN,Movie_Name_CN,Crawl_Date,Number,Username,Date,Star,Comment,Like
0,Avengers Age of Ultron,\u590d\u4ec7\u8005\u8054\u76df2,2017-01-22,1,\u7136\u6f47,2015-05-13,3,"two lines,
and ""quotes""",2404
1,Zootopia,\u75af\u72c2\u52a8\u7269\u57ce,2017-01-22,2,\u7136\u6f47,2015-04-24,5, plain ,1231
2,Iron Man,\u94a2\u94c1\u4fa0,2017-01-22,3,\u7136\u6f47,2015-05-13,2,"x",5
3,Iron Man,\u94a2\u94c1\u4fa0,2017-01-22,4,NA,2015-05-01,4,"y",5
'''


def test_douban(tmp_path: Path) -> None:
    (tmp_path / "DMSC.csv").write_text(DOUBAN, encoding="utf-8")
    dataset = prepare(DoubanSource().name, tmp_path / "out", path=tmp_path)
    assert histories(dataset) == {
        "\u7136\u6f47": ["Zootopia", "Avengers Age of Ultron", "Iron Man"],
        "NA": ["Iron Man"],
    }
    rated = prepare(
        DoubanSource().name, tmp_path / "three", path=tmp_path / "DMSC.csv", settings=PrepareSettings(min_rating=2)
    )
    assert rated.fingerprint == dataset.fingerprint
    with pytest.raises(UserError, match="nothing can be evaluated"):
        prepare(DoubanSource().name, tmp_path / "none", path=tmp_path, settings=PrepareSettings(min_rating=3))


def test_douban_needs_a_path() -> None:
    with pytest.raises(UserError, match="Kaggle asks for a login.*--path"):
        prepare(DoubanSource().name)
