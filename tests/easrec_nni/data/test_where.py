"""Conditions of ``--where``: the rows they select, against plain Python, and their limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.data import PrepareSettings, prepare
from easrec_nni.data.engine import Engine
from easrec_nni.data.where import check_expression

NAMES = ["user", "item", "time", "event", "price", "paid", "the day"]
EVENTS = ("view", "Cart", "purchase")
ROWS = [
    (
        f"u{n % 4}",
        f"i{n % 7}",
        n,
        EVENTS[n % 3],
        n * 0.5 - 3,
        n % 2 == 0,
        f"2024-05-{n % 30 + 1:02}",
    )
    for n in range(90)
]
CONDITIONS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "event = 'purchase' and price > 0": lambda row: row["event"] == "purchase" and row["price"] > 0,
    "price > 9": lambda row: row["price"] > 9,  # as texts, '10' comes before '9'
    "EVENT in ('view', 'Cart') or price < -1": lambda row: row["event"] in ("view", "Cart") or row["price"] < -1,
    "lower(event) = 'cart'": lambda row: row["event"].lower() == "cart",
    "event like 'p%'": lambda row: row["event"].startswith("p"),
    "event not ilike 'c%'": lambda row: not row["event"].lower().startswith("c"),
    "price between 0 and 12.5": lambda row: 0 <= row["price"] <= 12.5,
    "paid": lambda row: row["paid"],
    "not paid and abs(price) >= 1": lambda row: not row["paid"] and abs(row["price"]) >= 1,
    "price::integer % 2 = 0 -- even": lambda row: round(row["price"]) % 2 == 0,
    "\"the day\" >= '2024-05-11'": lambda row: row["the day"] >= "2024-05-11",
    "case when event = 'view' then price > 1 else true end": lambda row: row["event"] != "view" or row["price"] > 1,
    "(event = 'view') or (paid)": lambda row: row["event"] == "view" or row["paid"],
    "price / 2 > 1 and item <> 'i3'": lambda row: row["price"] / 2 > 1 and row["item"] != "i3",
}


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("condition", CONDITIONS)
def test_chosen_rows(condition: str, tmp_path: Path) -> None:
    rows = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    lines = [",".join(str(value).lower() if isinstance(value, bool) else str(value) for value in row) for row in ROWS]
    (tmp_path / "log.csv").write_text("\n".join([",".join(NAMES), *lines]) + "\n")
    expected: dict[str, list[str]] = {}
    for row in rows:
        if CONDITIONS[condition](row):
            expected.setdefault(row["user"], []).append(row["item"])
    if max(map(len, expected.values()), default=0) < 3:
        pytest.fail("a condition that leaves too little tests nothing")
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out", settings=PrepareSettings(where=condition))
    got = {
        user: dataset.item_ids[dataset.items[dataset.offsets[row] : dataset.offsets[row + 1]]].tolist()
        for row, user in enumerate(dataset.user_ids)
    }
    assert got == expected
    left = sum(map(len, expected.values()))
    assert dataset.manifest.dropped == ({f"interactions outside --where {condition}": 90 - left} if left < 90 else {})


def test_a_missing_value_fulfils_no_condition(tmp_path: Path) -> None:
    lines = [f"u{n % 2},i{n},{n},{'' if n % 3 == 0 else n}" for n in range(20)]
    (tmp_path / "log.csv").write_text("user,item,time,price\n" + "\n".join(lines) + "\n")
    dataset = prepare(tmp_path / "log.csv", tmp_path / "out", settings=PrepareSettings(where="not (price > 100)"))
    assert dataset.manifest.counts.interactions == 13 and sum(dataset.manifest.dropped.values()) == 7


ATTACKS = """
price > (select 1)
exists(select 1 from read_csv('/etc/passwd'))
event in (select content from read_text('/etc/passwd'))
(from read_text('/etc/passwd')) = 'x'
(table raw) = 1
(values (1)) = 1
1=1; drop table raw
1); copy raw to 'stolen.csv'; select (1
1) from read_csv('/etc/passwd') where (1=1
true) union select (true
true) as x, (false
price as x
true order by 1
true limit 1
copy raw to 'stolen.csv'
attach 'stolen.db'
install httpfs
load httpfs
set threads = 1
pragma database_list
create table x as select 1
export database 'stolen'
call pragma_version()
getenv('HOME') = 'x'
current_setting('temp_directory') = 'x'
getvariable('x') = 1
nextval('s') > 0
read_text('/etc/passwd') is not null
sniff_csv('/etc/passwd') is null
glob('/*') is null
query('select 1') is null
list_transform([1], lambda x: x) is not null
[x for x in [1]] is not null
unnest([1]) = 1
*
columns(*) > 0
count(*) > 1
sum(price) > 1
row_number() over () > 1
random() > 0.5
? > 1
$1 > 1
#1 > 0
raw.price > 1
rowid > 1
"$row" > 1
main.lower(event) = 'x'
system.main.lower(event) = 'x'
price::json is null
event::enum('x') is null
price::int[] is null
event collate nocase = 'A'
{'a': price}.a > 1
;
--
/*
'
"
(
price >
price > 1\x00
no_such_column = 1
event = "purchase"
""".strip().split("\n")


@pytest.mark.parametrize(
    "attack", [*ATTACKS, "", " ", "(" * 5000 + "1" + ")" * 5000, "1" + " + 1" * 20000, "a" * 10**6]
)
def test_everything_else_is_refused(attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="^--where") as caught:
        check_expression(attack, NAMES)
        if len(attack) > 1000:  # harmless, but deep or long: whatever becomes of it, it is no crash
            raise UserError("--where is long")
    assert len(caught.value.message) < 1000 and "\n" not in caught.value.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("price", "is not a condition: compare, as in price > 0"),
        ("event > 3", "--where 'event > 3'"),
        ("event = 'none of them'", "no interaction is left .* outside --where"),
        ("Event = 'x' and (select 1) = 1", "subquery is not allowed"),
    ],
)
def test_conditions_that_do_not_fit_the_log(condition: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "user,item,time,event,price\n" + "".join(f"u{n % 2},i{n},{n},e,{n}\n" for n in range(9))
    )
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "log.csv", tmp_path / "out", settings=PrepareSettings(where=condition))
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_names_that_differ_by_case_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="more than one column 'price'"):
        check_expression("price > 1", ["user", "Price", "price"])
    assert list(check_expression("PRICE > 1 and price < 3", ["user", "price"]).values()) == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{}/secret.csv')",
        "SELECT * FROM read_text('{}/secret.csv')",
        "SELECT * FROM read_parquet('{}/secret.csv')",
        "SELECT * FROM '{}/secret.csv'",
        "SELECT * FROM glob('{}/*')",
        "SELECT * FROM read_csv('https://example.org/x.csv')",
        "COPY (SELECT 1) TO '{}/stolen.csv'",
        "EXPORT DATABASE '{}/stolen'",
        "ATTACH '{}/stolen.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{}/x.duckdb_extension'",
        "CREATE SECRET (TYPE s3, KEY_ID 'x')",
        "SELECT getenv('HOME')",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET lock_configuration",
        "SET memory_limit = '1TB'",
        "SET temp_directory = '{}'",
        "SET allowed_directories = ['{}']",
    ],
)
def test_the_engine_is_locked_before_it_sees_a_condition(statement: str, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with Engine() as engine:
        engine.run("CREATE TABLE numbers AS SELECT range AS number FROM range(10)")
        engine.lock()
        with pytest.raises(duckdb.Error):
            engine.run(statement.format(tmp_path))
        assert engine.row("SELECT sum(number) FROM numbers")[0] == 45
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_the_lock_is_between_reading_and_choosing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.csv").write_text("user,item,time\n" + "".join(f"u{n % 2},i{n},{n}\n" for n in range(12)))
    seen: list[str] = []
    lock, run = Engine.lock, Engine.run

    def locked(self: Engine) -> None:
        seen.append("lock")
        lock(self)

    def ran(self: Engine, query: str, step: str | None = None) -> None:
        seen.append(query)
        run(self, query, step)

    monkeypatch.setattr(Engine, "lock", locked)
    monkeypatch.setattr(Engine, "run", ran)
    prepare(tmp_path / "log.csv", tmp_path / "out", settings=PrepareSettings(where="time > 1"))
    condition_place = next(place for place, query in enumerate(seen) if "time > 1" in query)
    assert any("read_csv" in query for query in seen[: seen.index("lock")]) and seen.index("lock") < condition_place
