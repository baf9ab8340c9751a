"""Files of the study and of the regrets, from figures to the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.tabular.documents import write_table
from easrec_nni.tabular.results import write_regret
from easrec_nni.tabular.searches import ExportedSearch
from easrec_nni.tabular.simulation import TabularEvaluator, simulate
from easrec_nni.tabular.table import ArchitectureTable
from tests.easrec_nni.tabular.test_searches import exported

TESTED = "test_ndcg@10_unseen"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_curves_are_means_of_the_searches_regrets(make_table, tmp_path: Path) -> None:
    write_table(make_table(), tmp_path / "table.json")
    words = ["table", "study", str(tmp_path / "table.json"), "--strategies", "random,evolution", "--seeds", "4"]
    done = CliRunner().invoke(app, [*words, "--trials", "6", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "curves.svg").is_file() and (tmp_path / "out" / "curves.png").is_file()
    table = ArchitectureTable(make_table())
    evaluator = TabularEvaluator(table)
    truth = {entry.choice: np.log(entry.mean(TESTED)) for entry in table.entries}
    rows = read(tmp_path / "out" / "curves.csv")
    assert [(row["strategy"], row["trials"]) for row in rows] == [
        (name, str(trial)) for name in ("random", "evolution") for trial in range(1, 7)
    ]
    for name in ("random", "evolution"):
        searches = [simulate(evaluator, name, seed, 6) for seed in range(4)]
        for trial in (1, 3, 6):
            missed, epochs = [], []
            for search in searches:
                best = max(range(trial), key=lambda number: search.rewards[number])
                missed.append(max(truth.values()) - truth[search.entries[best].choice])
                epochs.append(sum(e.runs[search.seed % 3]["epochs"] for e in search.entries[:trial]))
            (row,) = (r for r in rows if r["strategy"] == name and r["trials"] == str(trial))
            assert float(row[f"regret_nats_{TESTED}"]) == pytest.approx(np.mean(missed))
            assert float(row["epochs"]) == pytest.approx(np.mean(epochs))
    assert [row["verdict"] for row in read(tmp_path / "out" / "strategies.csv")][0] == ""


def test_regrets_of_folders(make_table, tmp_path: Path) -> None:
    table = ArchitectureTable(make_table())
    write_table(table.document, tmp_path / "table.json")
    folders = []
    for label, shift in (("random", 5), ("easrec", 0)):
        for seed in range(4):
            choice = table.entries[(shift * seed + seed) % 18].choice
            folders.append(str(exported(table, tmp_path / label / f"seed{seed}", seed, choice)))
    words = [
        "table",
        "regret",
        str(tmp_path / "table.json"),
        *folders,
        "--budget",
        "50",
        "--out",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "regret in % of test_ndcg@10_unseen at the network's own nominal cost" in done.stdout
    assert "regret in % of test_ndcg@10_unseen within the search's budget" in done.stdout
    assert (tmp_path / "out" / "regret.svg").is_file()
    rows = read(tmp_path / "out" / "searches.csv")
    largest = table.largest.costs["madds_per_user"]
    for row, folder in zip(rows, folders, strict=True):
        assert row["folder"] == folder
        cost = float(row["nominal_cost"])
        within = [e.mean(TESTED) for e in table.entries if e.costs["madds_per_user"] <= cost]
        assert float(row["regret_share"]) == pytest.approx(1 - float(row[TESTED]) / max(within))
        assert float(row["budget_missed_share"]) == pytest.approx(max(0, cost / largest / 0.5 - 1))
        limit = max(cost, 0.5 * largest)
        allowed = [e.mean(TESTED) for e in table.entries if e.costs["madds_per_user"] <= limit]
        assert float(row["budget_regret_share"]) == pytest.approx(1 - float(row[TESTED]) / max(allowed))
    summary = {(row["limit"], row["strategy"]): row for row in read(tmp_path / "out" / "strategies.csv")}
    assert len(summary) == 4
    for label in ("random", "easrec"):
        for limit, column in (("own cost", "regret_share"), ("budget", "budget_regret_share")):
            values = [float(row[column]) for row in rows if row["strategy"] == label]
            assert float(summary[limit, label][f"regret_share_{TESTED}"]) == pytest.approx(np.mean(values))
            assert summary[limit, "easrec"]["pairs"] == "4"


def test_without_an_option_every_search_has_its_own_budget(make_table, tmp_path: Path) -> None:
    table = ArchitectureTable(make_table())
    budget = {"budget": 0.5, "budget_kind": "executed", "budget_used": 0.6}
    entry = table.entries[0]
    searches = [
        ExportedSearch("darts", 0, entry, None, None, tmp_path / "a", **budget),
        ExportedSearch("random", 0, entry, None, None, tmp_path / "b"),
        ExportedSearch("tpe", 0, entry, None, None, tmp_path / "c", 0.4, "nominal", 0.3),
    ]
    write_regret(table, searches, tmp_path / "out")
    with_budget, without, nominal = read(tmp_path / "out" / "searches.csv")
    assert float(with_budget["budget_missed_share"]) == pytest.approx(0.2)
    assert (with_budget["budget_share"], with_budget["budget_cost"]) == ("0.5", "executed")
    assert without["budget_missed_share"] == without["budget_share"] == without["budget_cost"] == ""
    assert with_budget["budget_regret_share"] == without["budget_regret_share"] == ""  # no executed cost in the table
    assert float(nominal["budget_missed_share"]) == 0 and float(nominal["budget_regret_share"]) >= 0
    limits = [(row["limit"], row["strategy"]) for row in read(tmp_path / "out" / "strategies.csv")]
    assert limits == [("own cost", "darts"), ("own cost", "random"), ("own cost", "tpe"), ("budget", "tpe")]


def test_a_file_of_searches_stands_for_their_folders(make_table, tmp_path: Path) -> None:
    table = ArchitectureTable(make_table())
    write_table(table.document, tmp_path / "table.json")
    costs = {"cost": {"madds_per_user": 1.0}, "unpruned_cost": {"madds_per_user": 2.0}, "cost_kind": "nominal"}
    folders = [
        str(exported(table, tmp_path / label / f"seed{seed}", seed, table.entries[3 * seed].choice, **fields))
        for label, fields in (("random", {}), ("easrec", {"budget": 0.5, **costs}))
        for seed in range(4)
    ]

    def regret(out: str, *sources: str, file: str = "table.json") -> dict[str, bytes]:
        words = ["table", "regret", str(tmp_path / file), *sources, "--out", str(tmp_path / out)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        return {name: (tmp_path / out / name).read_bytes() for name in ("searches.csv", "strategies.csv", "regret.png")}

    # The folders tell another budget used than the table's costs, which a file's searches have.
    for row in (expected := read_rows(regret("whole", *folders))):
        if row["strategy"] == "easrec":
            row["budget_missed_share"] = str(max(0.0, float(row["cost_share"]) / 0.5 - 1))
    regret("grown", *folders[:6])
    file = str(tmp_path / "grown" / "searches.csv")
    assert read_rows(regret("grown", file, *folders[6:])) == expected
    again = regret("grown", file)
    assert regret("grown", file) == again
    # Another table, with other figures of the same architectures.
    write_table(make_table(seed=1), tmp_path / "other.json")
    other = regret("other", *folders, file="other.json")
    assert other["strategies.csv"] != again["strategies.csv"]
    assert regret("grown", file, file="other.json")["strategies.csv"] == other["strategies.csv"]


def read_rows(files: dict[str, bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(files["searches.csv"].decode().splitlines()))


def test_a_file_that_has_no_searches_of_the_table_is_refused(make_table, tmp_path: Path) -> None:
    write_table(make_table(), tmp_path / "table.json")
    file = tmp_path / "searches.csv"

    def refusal(content: str) -> str:
        file.write_text(content)
        return refused(tmp_path)

    assert "it has no column architecture" in refusal("strategy,seed\nrandom,1\n")
    columns = "strategy,seed,architecture,budget_share,budget_cost,search_epochs_of_largest,search_seconds,folder\n"
    assert "has no searches" in refusal(columns)
    unknown = 'random,1,"hidden99_inner0, depth 1",,,,,a\n'
    assert "row 1: the table has no architecture 'hidden99_inner0, depth 1'" in refusal(columns + unknown)
    assert "row 1 is damaged (invalid literal" in refusal(columns + 'random,?,"hidden0_inner0, depth 1",,,,,a\n')
    assert "row 1 is damaged" in refusal(columns + 'random,1,"hidden0_inner0, depth 1"\n')
    file.write_bytes(b"\xff\xfe\x00")
    assert "is not a CSV file" in refused(tmp_path)


def refused(folder: Path) -> str:
    done = CliRunner().invoke(app, ["table", "regret", str(folder / "table.json"), str(folder / "searches.csv")])
    assert done.exit_code == 2 and "Traceback" not in done.output
    return done.stderr


def test_two_searches_of_a_strategy_with_one_seed_are_refused(make_table, tmp_path: Path) -> None:
    table = ArchitectureTable(make_table())
    twice = [ExportedSearch("easrec", 0, table.entries[0], None, None, tmp_path / name) for name in "ab"]
    with pytest.raises(UserError, match="easrec has two searches with seed 0"):
        write_regret(table, twice, tmp_path / "out")
    assert not (tmp_path / "out").exists()
