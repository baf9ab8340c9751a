from __future__ import annotations

import re
from pathlib import Path

import pytest

from easrec_nni.report.published import PUBLISHED, PUBLISHED_GATES, PUBLISHED_PROTOCOL, published_for
from easrec_nni.study.systems import SYSTEMS

PAPER = {"easrec", "darts", "proxylessnas", "recnas", "sasrec", "sasrecf", "fdsa"} | {
    "sasrec-linrec",
    "sasrecf-linrec",
    "fdsa-linrec",
}


def test_every_row_of_the_paper_has_a_system_of_ours() -> None:
    for rows in PUBLISHED.values():
        assert rows.keys() == PAPER
    assert PAPER | PUBLISHED_GATES.keys() <= SYSTEMS.keys()


@pytest.mark.parametrize(
    ("dataset", "system", "test", "seconds", "gigabytes"),
    [
        ("ml-1m", "easrec", (0.6796, 0.3991, 0.4661), 14.8, 11.07),
        ("ml-1m", "sasrec", (0.6793, 0.3822, 0.4533), 54.2, 28.26),
        ("gowalla", "fdsa-linrec", (0.8878, 0.6056, 0.6737), 363, 13.45),
        ("gowalla", "proxylessnas", (0.9218, 0.6438, 0.7112), 237, 6.39),
        ("douban", "sasrecf", (0.7625, 0.3758, 0.4684), 365, 9.62),
        ("douban", "recnas", (0.7888, 0.3797, 0.4773), 82, 1.76),
    ],
)
def test_rows_are_as_printed(
    dataset: str, system: str, test: tuple[float, float, float], seconds: float, gigabytes: float
) -> None:
    row = PUBLISHED[dataset][system]
    assert (row.test, row.inference_seconds, row.gpu_gigabytes) == (test, seconds, gigabytes)
    assert all(0 < value < 1 for value in row.valid)


def test_gates_are_those_of_table_v() -> None:
    assert [PUBLISHED_GATES[name][2] for name in ("easrec", "easrec-gates1", "easrec-gates0")] == [
        0.4910,
        0.4771,
        0.4615,
    ]


def test_a_dataset_that_the_paper_lacks_is_shown_movielens_1m() -> None:
    assert published_for("douban") == ("douban", PUBLISHED["douban"])
    assert published_for("synthetic-gowalla") == ("ml-1m", PUBLISHED["ml-1m"])


def test_documents_set_no_other_ranking_and_nothing_bold_beside_published_figures() -> None:
    """The same rule as in reports, where tables enforce it."""
    root = Path(__file__).parents[3]
    texts = [file.read_text(encoding="utf-8") for file in (root / "README.md", *sorted(root.glob("docs/*.md")))]
    tables = [table for text in texts for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)]
    assert len(tables) > 15
    for table in tables:
        assert "published" not in table or (PUBLISHED_PROTOCOL in table and "**" not in table), table
        assert "published" not in table or not re.search(r"\b(full|pop100|uni100)\b", table), table
