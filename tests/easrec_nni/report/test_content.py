from __future__ import annotations

from easrec_nni.report.content import Column, Entry, Row, mark_best, mean_entry, number_entry


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
