"""Columns found by their names."""

from __future__ import annotations

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.sources.columns import choose_columns


@pytest.mark.parametrize(
    "names",
    [
        ("user_id", "item_id", "event_time"),
        ("userId", "itemId", "eventTime"),
        ("User-ID", "Item ID", "Event Time"),
        ("USERID", "ITEM", "TIMESTAMP"),
        ("Customer ID", "Product ID", "Date"),
    ],
)
def test_common_names_are_found_however_they_are_written(names: tuple[str, ...]) -> None:
    columns = choose_columns(("row", *reversed(names)), PrepareSettings(), "log.csv")
    assert columns.places == {"user": 3, "item": 2, "time": 1} and columns.notes == ()
    assert set(columns.why.values()) == {"a common name"}


def test_other_columns_that_could_be_meant_are_noted() -> None:
    columns = choose_columns(("User ID", "uid", "user_id", "item", "time"), PrepareSettings(), "log.csv")
    assert columns.places["user"] == 0
    assert columns.notes == ("User ID is taken for the user; user_id or uid could be it too: --user-column decides",)


def test_a_name_that_two_columns_have_is_refused() -> None:
    with pytest.raises(UserError, match="2 columns named 'user'"):
        choose_columns(("user", "user", "item", "time"), PrepareSettings(), "log.csv")


def test_a_column_of_kinds_of_events_is_noted_unless_it_is_used() -> None:
    names = ("user", "item", "time", "Event Type")
    (note,) = choose_columns(names, PrepareSettings(), "log.csv").notes
    assert note == (
        "Event Type may be the kind of an event: all kinds count alike, --where keeps one, as in "
        '--where "\\"Event Type\\" = \'purchase\'"'
    )
    assert choose_columns(names, PrepareSettings(where="time > 0"), "log.csv").notes == ()
    assert choose_columns(names, PrepareSettings(item_column="Event Type"), "log.csv").notes == ()
    (note,) = choose_columns(("user", "item", "time", "action"), PrepareSettings(), "log.csv").notes
    assert note.endswith("""--where keeps one, as in --where "action = 'purchase'\"""")
