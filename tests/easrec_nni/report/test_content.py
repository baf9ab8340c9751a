from __future__ import annotations

import pytest

from easrec_nni.report.content import Column, Entry, Row, Table, mark_best, mean_entry, number_entry


def _four(value: float) -> str:
    return f"{value:.4f}"


def test_the_best_as_shown_are_marked_alike_and_columns_without_an_end_are_not() -> None:
    columns = [Column("up", "", more_is_better=True), Column("down", "", more_is_better=False), Column("none", "")]
    figures = [(0.50001, 3.0, 1.0), (0.50004, 1.0, 2.0), (0.4, None, 3.0)]
    rows = [
        Row(
            str(number),
            {
                key: Entry("–") if value is None else Entry(_four(value), value)
                for key, value in zip(("up", "down", "none"), values, strict=True)
            },
        )
        for number, values in enumerate(figures)
    ]
    marked = mark_best(columns, rows)
    assert [row.entries["up"].best for row in marked] == [True, True, False]
    assert [row.entries["down"].best for row in marked] == [False, True, False]
    assert not any(row.entries["none"].best for row in marked)


def test_a_single_figure_is_not_the_best_of_anything() -> None:
    marked = mark_best([Column("a", "", more_is_better=True)], [Row("x", {"a": Entry("1", 1.0)})])
    assert not marked[0].entries["a"].best


def test_entries_of_means() -> None:
    record = {"a": 0.5, "a_sd": 0.0123, "a_star": True, "b": 2, "c": None, "d": 1.0, "d_sd": 0.0, "e": True}
    assert mean_entry(record, "a", _four) == Entry("0.5000", 0.5, "± 0.0123", star=True)
    assert number_entry(record, "b", _four) == Entry("2.0000", 2.0)
    assert mean_entry(record, "c", _four) == number_entry(record, "missing", _four) == Entry("–")
    assert mean_entry(record, "d", _four).spread == ""
    assert number_entry(record, "e", _four) == Entry("–")


PUBLISHED = Column("published_ndcg@10", "NDCG@10", "published", published=True)


@pytest.mark.parametrize(
    "key",
    ["ndcg@10_pop100", "ndcg@10_full", "valid_ndcg@10_uni100", "test_recall@20_pop100", "ndcg@10_pop100_recboles"],
)
def test_published_figures_stand_beside_no_other_ranking(key: str) -> None:
    ours = [Column("valid_mrr@10_pop100_recbole", "MRR@10"), Column("parameters", "parameters")]
    Table("t", [*ours, PUBLISHED], [])
    Table("t", [*ours, Column(key, "NDCG@10")], [])
    with pytest.raises(ValueError, match=f"beside pop100_recbole alone, not beside {key}"):
        Table("t", [*ours, Column(key, "NDCG@10"), PUBLISHED], [])


@pytest.mark.parametrize("mark", ["best", "star"])
def test_nothing_is_marked_beside_published_figures(mark: str) -> None:
    our_column = Column("ndcg@10_pop100_recbole", "NDCG@10", more_is_better=True)
    entries = {our_column.key: Entry("0.9", 0.9), PUBLISHED.key: Entry("0.4661", 0.4661)}
    rows = [Row("ours", entries), Row("other", {our_column.key: Entry("0.1", 0.1)})]
    Table("t", [our_column, PUBLISHED], rows)
    marked = [Row("ours", {**entries, our_column.key: Entry("0.9", 0.9, best=mark == "best", star=mark == "star")})]
    Table("t", [our_column], marked)
    with pytest.raises(ValueError, match="nothing is marked in a table with published figures"):
        Table("t", [our_column, PUBLISHED], marked)
    with pytest.raises(ValueError, match="nothing is marked"):
        Table("t", [our_column, PUBLISHED], mark_best([our_column, PUBLISHED], rows))
