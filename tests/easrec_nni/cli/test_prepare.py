"""``easrec prepare`` as a user runs it."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from easrec_nni.cli import main
from easrec_nni.common.errors import UserError
from easrec_nni.data import load_dataset

GOOD = "user,item,time\n" + "".join(f"u{row % 2},i{row},{row}\n" for row in range(10))


@pytest.fixture
def easrec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text(GOOD)

    def call(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(main.app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.stdout, result.stderr

    return call


Call = Callable[..., tuple[int, str, str]]


def test_counts_are_printed(easrec: Call, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(GOOD + "u0,i0,0\nu9,i0,5\n")
    code, out, err = easrec("prepare", "log.csv")
    assert code == 0
    row = next(line for line in out.splitlines() if line.split()[1:2] == ["log"])
    assert row.replace("\u2502", " ").split() == ["log", "3", "10", "3.67", "1.10", "11"]
    assert "there are 4 users and 11 items" in out, "with padding, as the paper counts"
    assert "evaluated users: 2 (training only, fewer than 3 interactions: 1)" in out
    assert "dropped: 1 rows that repeat user, item and time of another" in out
    assert "negatives pop100_valid: 2 users have fewer than 100 candidates" in out
    assert load_dataset("log").manifest.counts.interactions == 11
    code, out, err = easrec("prepare", "log.csv")
    assert code == 0 and "already prepared with these settings, reusing" in err
    assert row in out


def test_options_reach_the_settings(easrec: Call) -> None:
    code, _, err = easrec(
        *("prepare", "log.csv", "--out", "there", "--name", "mine", "--seed", "4", "--keep-duplicates"),
        *("--min-user-interactions", "2", "--min-item-interactions", "1", "--drop-invalid"),
        *("--user-column", "user", "--item-column", "item", "--time-column", "time", "--rating-column", "time"),
        *("--min-rating", "1", "--delimiter", ",", "--encoding", "ascii", "--split", "last:1"),
        *("--evaluate-users", "1000"),
    )
    assert code == 0, err
    dataset = load_dataset("./there")
    assert dataset.name == "mine"
    assert dataset.manifest.settings.model_dump() == {
        "min_user_interactions": 2,
        "min_item_interactions": 1,
        "min_rating": 1.0,
        "drop_duplicates": False,
        "drop_invalid": True,
        "user_column": "user",
        "item_column": "item",
        "time_column": "time",
        "rating_column": "time",
        "delimiter": ",",
        "encoding": "ascii",
        "quote": None,
        "header": None,
        "layout": "auto",
        "clock_column": None,
        "order_is_time": False,
        "newest_first": False,
        "time_format": None,
        "time_unit": "auto",
        "keep_missing_words": False,
        "normalize_ids": "none",
        "where": None,
        "since": None,
        "until": None,
        "collapse_repeats": False,
        "seed": 4,
        "split": "last:1",
        "evaluate_users": 1000,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ml-10k"], "did you mean 'ml-100k'"),
        (["missing.csv"], "neither a dataset nor an existing file"),
        (["log.csv", "--item-column", "x"], "its columns are 'user', 'item', 'time'"),
        (["log.csv", "--encoding", "x"], "unknown encoding"),
        (["douban"], "--path"),
        (["log.csv", "--min-rating", "nan"], "--min-rating must be a finite number"),
        (["log.csv", "--split", "tme:90%"], "did you mean 'time'?"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    easrec: Call, arguments: list[str], message: str, tmp_path: Path
) -> None:
    code, out, err = easrec("prepare", *arguments)
    assert code == 2 and out == ""
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("easrec: error: ") and message in lines[0]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("arguments", [[], ["log.csv", "--no-such"], ["log.csv", "--seed", "-1"], ["a", "b"]])
def test_wrong_usage_has_exit_code_2(easrec: Call, arguments: list[str]) -> None:
    code, _, err = easrec("prepare", *arguments)
    assert code == 2 and "Usage" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "time:2024-06-01"], "the log runs from 0 to 9): give points within the log"),
        (["--split", "last:9"], "users have validation targets, where two are needed"),
        (["--split", "time:80%", "--order-is-time"], "the log has no times, only an order"),
    ],
)
def test_a_split_that_does_not_suit_the_log_is_refused(
    easrec: Call, arguments: list[str], message: str, tmp_path: Path
) -> None:
    code, out, err = easrec("prepare", "log.csv", *arguments)
    assert code == 2 and out == ""
    last = err.splitlines()[-1]
    assert last.startswith("easrec: error: ") and message in last
    assert not (tmp_path / "home").exists()


def test_every_interaction_is_accounted_for_in_what_is_said(easrec: Call, tmp_path: Path) -> None:
    rows = [(user, item, time) for user in range(4) for item, time in enumerate(range(user, user + 8))]
    rows += [(0, 1, 9), (0, 1, 10), (9, 1, 9), (9, 2, 10), (1, 77, 10)]
    lines = "".join(f"u{user},i{item},{time}\n" for user, item, time in rows)
    (tmp_path / "log.csv").write_text("user,item,time\n" + lines)
    code, out, _ = easrec("prepare", "log.csv", "--split", "time:6,9")
    assert code == 0
    assert "split: time:6,9, validation from 6, test from 9; users without any target: 1" in out
    # From time 6 up to 9: users 0 to 3 have items 6 and 7, 5 to 7, 4 to 6, 3 to 5; nobody had item 6 or 7 before.
    assert (
        "validation: 6 targets of 3 users; no targets are the interactions 5 with items that nobody had by then" in out
    )
    assert "(2 such items)" in out
    # From time 9 on: users 2 and 3 have items 7, and 6 and 7; user 9 is new, item 77 too, user 0 has item 1 twice.
    assert (
        "test: 4 targets of 3 users; no targets are the interactions 2 of 1 users who have no history by then, "
        "1 with items that nobody had by then (1 such items), 1 that repeat a target of the same user" in out
    )
    code, again, err = easrec("prepare", "log.csv", "--split", "time:6,9")
    assert code == 0 and "reusing" in err and "test: 4 targets" in again
    assert easrec("prepare", "log.csv")[0] == 2, "another split"


def test_a_sample_of_users_is_drawn_once_and_said(easrec: Call, tmp_path: Path) -> None:
    rows = [f"u{user},i{item},{item}\n" for user in range(9) for item in range(6)]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "".join(rows))
    code, out, _ = easrec("prepare", "log.csv", "--evaluate-users", "4")
    assert code == 0 and "evaluated users: 4 (" in out
    assert "evaluated users are a sample of the 9 that have targets, drawn once and stored: evaluated_users.npy" in out
    drawn = load_dataset("log").evaluated_users
    assert drawn is not None and drawn.tolist() == load_dataset("log").split.test.users.tolist()
    assert easrec("prepare", "log.csv", "--evaluate-users", "4", "--force")[0] == 0
    again = load_dataset("log").evaluated_users
    assert again is not None and again.tolist() == drawn.tolist()
    code, out, _ = easrec("prepare", "log.csv", "--evaluate-users", "100", "--force")
    assert code == 0 and "evaluated users: 9 (" in out and "are a sample" not in out
    assert not (tmp_path / "home" / "datasets" / "log" / "evaluated_users.npy").exists()


def test_everything_trains_if_nothing_is_split(easrec: Call) -> None:
    for words in ((), ("--force",), ()):
        code, out, err = easrec("prepare", "log.csv", "--split", "none", *words)
        assert code == 0 and "split: none, everything trains: no figures" in out, err


def test_force_replaces(easrec: Call) -> None:
    assert easrec("prepare", "log.csv")[0] == 0
    code, _, err = easrec("prepare", "log.csv", "--seed", "1")
    assert code == 2 and "--force" in err
    assert easrec("prepare", "log.csv", "--seed", "1", "--force")[0] == 0
    assert load_dataset("log").manifest.settings.seed == 1


def test_help_has_examples_and_whole_option_names(easrec: Call) -> None:
    code, out, _ = easrec("prepare", "--help")
    assert code == 0 and "easrec prepare ml-100k\n" in out
    for option in ("--min-item-interactions", "--keep-duplicates", "--path", "--out", "--force"):
        assert option in out
    code, out, _ = easrec("--help")
    assert code == 0 and all(name.split()[0] in out for name in main.COMMANDS)


def test_interruption_and_errors_of_any_command(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    def mistaken() -> None:
        raise UserError("two\nlines")

    for command, code, text in ((interrupted, 130, "interrupted"), (mistaken, 2, "error: two lines")):
        with pytest.raises(typer.Exit) as caught:
            main.reporting_errors(command)()
        assert caught.value.exit_code == code
        assert capsys.readouterr().err == f"easrec: {text}\n"


def test_module_can_be_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "easrec_nni.cli.main", "prepare", str(tmp_path / "missing.csv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and "easrec: error: " in done.stderr and "Traceback" not in done.stderr


def test_interrupted_process_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(GOOD)
    # The last step before the folder takes its place says that it is there, and waits for the signal.
    program = (
        "import time\nfrom easrec_nni.data import pipeline\nfrom easrec_nni.cli.main import run\n"
        "write = pipeline.write_folder\n"
        "pipeline.write_folder = lambda *a: (write(*a), print('ready', flush=True), time.sleep(60))\nrun()\n"
    )
    command = [sys.executable, "-c", program, "prepare", "log.csv", "--out", "new"]
    # A shell's background job ignores Ctrl-C, and so would what it starts: these tests may be part of one.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "preexec_fn": heed}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "easrec: interrupted" in err and "Traceback" not in err
    assert [each.name for each in tmp_path.iterdir()] == ["log.csv"]
