"""Summary of a log before it is written; refusals and notes where it is ambiguous."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, prepare, preview
from tests.histories import histories

BASE = 1_700_000_000


class Recorder:
    """Reporter that records its calls."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}
        self.notes: list[str] = []

    def step(self, message: str) -> None:
        pass

    def note(self, message: str) -> None:
        self.notes.append(message)

    def understood(self, lines: Mapping[str, str]) -> None:
        self.lines = dict(lines)

    def transferred(self, done: int, total: int | None) -> None:
        pass


@pytest.fixture
def say(tmp_path: Path) -> Callable[..., Recorder]:
    """Summary of a table, which is not written."""

    def look(table: str | pd.DataFrame, **settings: object) -> Recorder:
        file = tmp_path / "log.csv"
        file.write_text(table if isinstance(table, str) else table.to_csv(index=False))
        recorder = Recorder()
        summary = preview(file, settings=PrepareSettings.model_validate(settings), reporter=recorder)
        assert summary.lines == recorder.lines and [each.name for each in tmp_path.iterdir()] == ["log.csv"]
        return recorder

    return look


Say = Callable[..., Recorder]


def table(times: list[object] | np.ndarray, **more: object) -> pd.DataFrame:
    rows = len(times)
    ids = {"user": [f"u{n % 3}" for n in range(rows)], "item": [f"i{n % 7}" for n in range(rows)]}
    return pd.DataFrame(ids | {"time": times} | more)


def test_lines_against_pandas(say: Say) -> None:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(
        {
            "visitor_id": rng.integers(0, 20, 400),
            "product_id": rng.integers(0, 30, 400),
            "ts": BASE + rng.integers(0, 500, 400) // 5 * 5,
            "stars": rng.integers(1, 6, 400),
        }
    )
    rows.loc[[3, 50], "product_id"] = -1
    text = rows.to_csv(index=False).replace(",-1,", ",,")
    summary = say(text, min_rating=2, drop_invalid=True)
    good = rows[(rows["product_id"] >= 0)]
    high = good[good["stars"] >= 2]
    rest = high.drop_duplicates(["visitor_id", "product_id", "ts"])
    low, again = len(good) - len(high), len(high) - len(rest)
    assert again > 0
    tied = rest.duplicated(["visitor_id", "ts"], keep=False).mean()
    repeats = rest.duplicated(["visitor_id", "product_id"]).mean()
    few = int((rest.groupby("visitor_id").size() < 3).sum())
    first = [f"{u} had {i} at {pd.Timestamp(t, unit='s')}" for u, i, t, _ in high.head(3).itertuples(index=False)]
    start, end = (pd.Timestamp(bound, unit="s") for bound in (rest["ts"].min(), rest["ts"].max()))
    assert summary.lines == {
        "user": "visitor_id (a common name)",
        "item": "product_id (a common name)",
        "time": "ts (a common name)",
        "rating": "stars (a common name)",
        "times": f"numbers, in seconds, from {start} to {end}",
        "equal times": f"{tied:.1%} of the interactions share user and time with another",
        "rows": f"400 in the file, {len(rest)} kept, {400 - len(rest)} dropped: 2 rows without item id, {low} "
        f"interactions with a rating below 2, {again} rows that repeat user, item and time of another",
        "users": f"{rest['visitor_id'].nunique()}, of which {few} have fewer than 3 interactions",
        "repeats": f"{repeats:.1%} of the interactions are with an item that the user had before, which suits a "
        "ranking of all items (full)",
        "first rows": "; ".join(first),
    }


def test_a_split_is_tried_before_anything_is_written(say: Say) -> None:
    with pytest.raises(UserError, match="the log runs from 0 to 29"):
        say(table(np.arange(30)), split="time:40,50")


def test_a_shop_where_nothing_is_bought_twice_is_ranked_unseen(say: Say) -> None:
    rows = pd.DataFrame({"user": [n % 3 for n in range(30)], "item": range(30), "time": range(30)})
    assert say(rows).lines["repeats"].startswith("0.0%") and "unseen" in say(rows).lines["repeats"]


UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_told_by_size(unit: str, say: Say) -> None:
    summary = say(table(np.arange(BASE, BASE + 30) * UNITS[unit]))
    assert summary.lines["times"] == f"numbers, in {unit}, from 2023-11-14 22:13:20 to 2023-11-14 22:13:49"
    assert summary.notes == [] or all("repeat" in note for note in summary.notes)


def test_other_numbers(say: Say) -> None:
    assert say(table(np.arange(30))).lines["times"] == "numbers, in plain numbers, from 0 to 29"
    days = [int(f"202401{1 + n:02}") for n in range(30)]
    assert say(table(days)).lines["times"].endswith("from 2024-01-01 00:00:00 to 2024-01-30 00:00:00")
    stamps = [int(f"202401{1 + n:02}123000") for n in range(30)]
    assert say(table(stamps)).lines["times"].endswith("from 2024-01-01 12:30:00 to 2024-01-30 12:30:00")


@pytest.mark.parametrize(("one", "other"), [("seconds", "milliseconds"), ("milliseconds", "nanoseconds")])
def test_two_units_are_refused_or_brought_to_one(one: str, other: str, tmp_path: Path) -> None:
    seconds = np.random.default_rng(4).permutation(np.arange(BASE, BASE + 40))
    times = [int(each) * (UNITS[one] if each < BASE + 10 else UNITS[other]) for each in seconds]
    table(times).to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(UserError, match=f"two units, as 10 {one} and 30 {other} .*--time-unit mixed"):
        prepare(tmp_path / "log.csv", tmp_path / "out")
    mixed = prepare(tmp_path / "log.csv", tmp_path / "mixed", settings=PrepareSettings(time_unit="mixed"))
    table([int(each) for each in seconds]).to_csv(tmp_path / "log.csv", index=False)
    assert histories(mixed) == histories(prepare(tmp_path / "log.csv", tmp_path / "plain"))
    assert mixed.times.max() == (BASE + 39) * UNITS[other]


def test_date_and_clock(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    moments = pd.Timestamp("2024-02-27") + pd.to_timedelta(rng.permutation(60) * 997, unit="min")
    moments = moments.floor("min")
    plain = table([int(each.timestamp()) for each in moments])
    plain.to_csv(tmp_path / "plain.csv", index=False)
    right = histories(prepare(tmp_path / "plain.csv", tmp_path / "plain"))
    for number, form in enumerate(("%H%M", "%H:%M:%S", "%H:%M", "%I:%M %p")):
        rows = plain.drop(columns="time").assign(date=moments.strftime("%Y-%m-%d"), time=moments.strftime(form))
        rows.to_csv(tmp_path / "till.csv", index=False)
        dataset = prepare(tmp_path / "till.csv", tmp_path / f"out{number}", name="till")
        assert histories(dataset) == right
        assert dataset.times.tolist() == prepare(tmp_path / "plain.csv", tmp_path / "plain").times.tolist()
        assert dataset.manifest.understood["time"] == "date and time (a date and a time of day)"
    # Dates as numbers, in a column named `date` and in one that an option names.
    number = rows.assign(date=moments.strftime("%Y%m%d"), time=moments.strftime("%H%M").astype(int))
    number.to_csv(tmp_path / "till.csv", index=False)
    assert histories(prepare(tmp_path / "till.csv", tmp_path / "numbers")) == right
    number.rename(columns={"date": "d", "time": "t"}).astype({"d": int}).to_parquet(tmp_path / "till.parquet")
    named = PrepareSettings(time_column="d", clock_column="t")
    assert histories(prepare(tmp_path / "till.parquet", tmp_path / "parquet", settings=named)) == right
    days = number.assign(date=[each.toordinal() for each in moments])
    days.to_csv(tmp_path / "days.csv", index=False)
    for settings in (PrepareSettings(), PrepareSettings(time_column="date", clock_column="time")):
        with pytest.raises(UserError, match="time is a time of day, and date has no dates beside it but numbers"):
            prepare(tmp_path / "days.csv", tmp_path / "days", settings=settings)
    rows = rows.rename(columns={"date": "d", "time": "t"})
    rows.to_csv(tmp_path / "named.csv", index=False)
    named = PrepareSettings(time_column="d", clock_column="t")
    assert histories(prepare(tmp_path / "named.csv", tmp_path / "named", settings=named)) == right
    rows.drop(columns="d").rename(columns={"t": "time"}).to_csv(tmp_path / "alone.csv", index=False)
    with pytest.raises(UserError, match="no readable time.*--clock-column"):
        prepare(tmp_path / "alone.csv", tmp_path / "alone")


FORMATS = [
    "%Y-%m-%d %H:%M:%S UTC",
    "%Y-%m-%d %H:%M:%S,000",
    "%m %d, %Y",
    "%a %b %d %H:%M:%S +0000 %Y",
    "%d %b %Y, %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y",
    "%d/%b/%Y:%H:%M:%S +0000",
    "%a, %d %b %Y %H:%M:%S +0000",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S UTC %Y",
    "%Y%m%dT%H%M%SZ",
]


@pytest.mark.parametrize("form", FORMATS)
def test_dates_of_other_forms(form: str, tmp_path: Path) -> None:
    moments = pd.date_range("2024-01-01 10:00", periods=60, freq="13h")
    moments = moments.floor("D") if "%H" not in form else moments.floor("min")
    order = np.random.default_rng(1).permutation(60)
    table([moments[place].strftime(form) for place in order]).to_csv(tmp_path / "log.csv", index=False)
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out")
    table([int(moments[place].timestamp()) for place in order]).to_csv(tmp_path / "plain.csv", index=False)
    plain = prepare(tmp_path / "plain.csv", tmp_path / "plain")
    assert dataset.times.tolist() == plain.times.tolist() and histories(dataset) == histories(plain)


def test_day_and_month_that_could_be_each_other(say: Say, tmp_path: Path) -> None:
    times = [f"{1 + n % 12:02}/{1 + n % 9:02}/2024" for n in range(30)]
    with pytest.raises(UserError, match="can be read as %m/%d/%Y or as %d/%m/%Y: pass --time-format"):
        say(table(times))
    summary = say(table(times), time_format="%d/%m/%Y")
    assert summary.lines["times"].startswith("%d/%m/%Y, from 2024-01-01")
    with pytest.raises(UserError, match="--time-format '%Q' is not a format"):
        say(table(times), time_format="%Q")


@pytest.mark.parametrize("word", ["NULL", "null", "\\N", "nan", "NaN", "None", "<NA>"])
@pytest.mark.parametrize("role", ["user", "item"])
def test_words_for_missing_values(word: str, role: str, say: Say) -> None:
    rows = table(np.arange(30))
    rows.loc[::5, role] = word
    text = rows.to_csv(index=False)
    with pytest.raises(
        UserError, match=f"6 of 30 rows have no {role} id, the first is data row 1.*--keep-missing-words"
    ):
        say(text)
    assert f"24 kept, 6 dropped: 6 rows without {role} id" in say(text, drop_invalid=True).lines["rows"]
    assert "30 kept" in say(text, keep_missing_words=True).lines["rows"]


def test_ids_that_differ_by_blanks_or_case(say: Say) -> None:
    rows = table(np.arange(40)).assign(user=[("ann", "Ann", "ann ", "bob")[n % 4] for n in range(40)])
    note = "2 user ids differ from others by blanks or by upper and lower case alone: --normalize-ids trim"
    assert any(note in each for each in say(rows).notes)
    assert say(rows, normalize_ids="trim").lines["users"].startswith("3,")
    assert say(rows, normalize_ids="lower").lines["users"].startswith("2,")
    assert not any("differ" in each for each in say(rows, normalize_ids="lower").notes)


def test_ids_that_a_spreadsheet_has_rounded(say: Say) -> None:
    rows = table(np.arange(40)).assign(item=[f"{1 + n % 9}.2345E+15" for n in range(40)])
    assert any("9 item ids look like numbers that a spreadsheet has rounded" in each for each in say(rows).notes)


@pytest.mark.parametrize(
    ("stand_in", "shown", "option"),
    [("0", "1970-01-01 00:00:00", "since"), ("-1", "1969-12-31 23:59:59", "since"), ("9999999999", "2286", "until")],
)
def test_times_that_stand_for_missing_ones(say: Say, stand_in: str, shown: str, option: str) -> None:
    rows = table(np.arange(BASE, BASE + 30).astype(str))
    assert not any("missing times" in note for note in say(rows).notes)
    rows.loc[[4, 11, 17], "time"] = stand_in
    (note,) = (note for note in say(rows).notes if "missing times" in note)
    assert note.startswith("3 times are ") and shown in note and f"--{option} " in note
    left_out = say(rows, **{option: "1973-01-01" if option == "since" else "2100-01-01"})
    assert "3 dropped" in left_out.lines["rows"] and not any("missing times" in each for each in left_out.notes)


def test_old_logs_and_plain_numbers_have_no_missing_times(say: Say) -> None:
    for times in (np.arange(30) * 1000, [f"1965-03-{1 + n % 28:02d}" for n in range(30)]):
        assert not any("missing times" in note for note in say(table(np.asarray(times))).notes)


def test_columns_that_could_be_meant_too(say: Say) -> None:
    rows = table(np.arange(BASE, BASE + 30)).assign(parent_asin="x", asin="y", date="2024-01-01")
    summary = say(rows.drop(columns="item"), item_column=None)
    assert "asin is taken for the item; parent_asin could be it too: --item-column decides" in summary.notes
    assert "time is taken for the time; date could be it too: --time-column decides" in summary.notes
    named = say(rows, item_column="parent_asin", time_column="time")
    assert named.lines["item"] == "parent_asin (--item-column)" and not any("could" in note for note in named.notes)


def test_ties_of_a_log_that_runs_backward(say: Say, tmp_path: Path) -> None:
    minutes = [(f"u{user}", f"t{step}", BASE + step // 3 * 60) for user in range(3) for step in range(12)]
    newest = pd.DataFrame(minutes[::-1], columns=["user", "item", "time"])
    assert any("runs from new to old and 100%" in each and "--newest-first" in each for each in say(newest).notes)
    assert not any("newest" in each for each in say(newest, newest_first=True).notes)
    oldest = pd.DataFrame(minutes, columns=["user", "item", "time"])
    assert not any("from new to old" in each for each in say(oldest).notes)
    turned = prepare(tmp_path / "log.csv", tmp_path / "out", settings=PrepareSettings())
    assert histories(turned) == {f"u{user}": [f"t{step}" for step in range(12)] for user in range(3)}
    newest.to_csv(tmp_path / "log.csv", index=False)
    turned = prepare(tmp_path / "log.csv", tmp_path / "turned", settings=PrepareSettings(newest_first=True))
    assert histories(turned) == {f"u{user}": [f"t{step}" for step in range(12)] for user in (2, 1, 0)}
    by_row = PrepareSettings(newest_first=True, order_is_time=True)
    assert histories(prepare(tmp_path / "log.csv", tmp_path / "rows", settings=by_row)) == histories(turned)


def test_immediate_repeats(say: Say, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    rows = table(rng.permutation(200)).assign(item=rng.integers(0, 3, 200))
    assert any("repeat the item right before: pass --collapse-repeats" in each for each in say(rows).notes)
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out", settings=PrepareSettings(collapse_repeats=True))
    remaining: dict[str, list[str]] = {}
    firsts: dict[str, int] = {}
    for place, user, item in rows.sort_values("time").reset_index()[["index", "user", "item"]].itertuples(index=False):
        if remaining.setdefault(user, [])[-1:] != [str(item)]:
            remaining[user].append(str(item))
            firsts[str(item)] = min(place, firsts.get(str(item), place))
    assert histories(dataset) == remaining
    assert dataset.item_ids.tolist() == ["", *sorted(firsts, key=firsts.__getitem__)]
    gone = {"interactions that repeat the item right before": 200 - sum(map(len, remaining.values()))}
    assert dataset.manifest.dropped == gone


@pytest.mark.parametrize(
    ("settings", "first", "last"),
    [
        ({"since": "2023-11-14T22:13:30"}, 10, 59),
        ({"until": "2023-11-14T22:13:30"}, 0, 9),
        ({"since": "2023-11-14 22:13:25+00:00", "until": "1700000040"}, 5, 39),
        ({"since": "2023-11-15T00:13:50+02:00"}, 30, 59),
    ],
)
def test_time_window(settings: dict[str, str], first: int, last: int, tmp_path: Path) -> None:
    table(np.arange(BASE, BASE + 60)).to_csv(tmp_path / "log.csv", index=False)
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out", settings=PrepareSettings.model_validate(settings))
    assert sorted(dataset.times.tolist()) == list(range(BASE + first, BASE + last + 1))
    assert sum(dataset.manifest.dropped.values()) == 60 - (last - first + 1)


def test_a_window_in_milliseconds_and_bad_ones(say: Say) -> None:
    rows = table(np.arange(BASE, BASE + 60) * 1000)
    assert "50 kept" in say(rows, since="2023-11-14T22:13:30").lines["rows"]
    with pytest.raises(UserError, match="--since 'yesterday' is not a date"):
        say(rows, since="yesterday")
    with pytest.raises(UserError, match="times of this log are plain numbers: pass a number"):
        say(table(np.arange(30)), until="2024-01-01")


def test_sizes_of_memory(tmp_path: Path) -> None:
    table(np.arange(60)).to_csv(tmp_path / "log.csv", index=False)
    for text in ("lots", "0GB", "-1GB", ""):
        with pytest.raises(UserError, match="--memory .* is not a size"):
            prepare(tmp_path / "log.csv", tmp_path / "out", memory=text)
    with pytest.raises(UserError, match="--spill"):
        prepare(tmp_path / "log.csv", tmp_path / "out", spill=tmp_path / "nowhere")
    (tmp_path / "spill").mkdir()
    prepare(tmp_path / "log.csv", tmp_path / "out", memory="200MB", spill=tmp_path / "spill")
    assert list((tmp_path / "spill").iterdir()) == []


@pytest.mark.parametrize(
    ("ids", "note"),
    [
        (["12", "12.0", "x", "y"], "1 item ids are numbers that other ids are too"),
        (["7", "007", "0x7", "y"], "1 item ids are numbers that other ids are too"),
        (["100000", "1E+05", "x", "y"], "1 item ids are numbers that other ids are too"),
        (["2E+05", "x", "y", "z"], "1 item ids look like numbers that a spreadsheet has rounded"),
        (["cafe\u0301", "caf\u00e9", "x", "y"], "1 item ids look like others, but have invisible characters"),
        (["tea\u200b", "tea", "x", "y"], "1 item ids look like others, but have invisible characters"),
        (["NA", "n/a", "x", "y"], "6 interactions have the item id 'NA' or 'n/a': if it stands for a missing one"),
        (['="001"', '="002"', "x", "y"], '2 item ids are formulas of a spreadsheet (="001")'),
        (["['a', 'b']", "x", "y", "z"], "1 item ids are lists or objects, such as ['a', 'b'], and each is one item"),
    ],
)
def test_doubtful_ids_are_noted(say: Say, ids: list[str], note: str) -> None:
    rows = table([BASE + n for n in range(16)])
    assert not say(rows).notes
    rows["item"] = ids * 3 + ["p", "q", "r", "s"]
    assert any(shown.startswith(note) for shown in say(rows).notes)


def test_plain_numbers_and_words_are_not_doubtful(say: Say) -> None:
    rows = table([BASE + n for n in range(16)])
    rows["item"] = ["12", "13", "1.5", "[7]", "[unknown]", "stra\u00dfe", "NAOMI", "123456789012345678"] * 2
    assert not say(rows).notes


def test_times_with_their_first_digits_alone_are_noted(say: Say) -> None:
    rows = table([f"{1.7e9 + 1e6 * n:.3e}" for n in range(16)])
    assert "16 times are written with their first digits alone (such as 1.700e+09)" in say(rows).notes[0]
    rows = table([f"{BASE + n:.9e}" for n in range(16)])
    assert not say(rows).notes


def test_whole_hours_beside_a_date(say: Say) -> None:
    rows = table(["2024-05-31"] * 16).rename(columns={"time": "date"})
    rows["hour"] = [n % 24 for n in range(16)]
    assert say(rows).lines["times"].endswith("from 2024-05-31 00:00:00 to 2024-05-31 15:00:00")
    rows["hour"] = [905 + n for n in range(16)]
    assert say(rows).lines["times"].endswith("from 2024-05-31 09:05:00 to 2024-05-31 09:20:00")
