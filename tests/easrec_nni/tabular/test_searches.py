from __future__ import annotations

from pathlib import Path

import pytest

from easrec_nni.architecture.document import Architecture, DatasetReference
from easrec_nni.common.errors import UserError
from easrec_nni.tabular.searches import read_search
from easrec_nni.tabular.table import ArchitectureTable
from easrec_nni.training.history import write_history
from search_spaces import Choice


@pytest.fixture
def table(make_table) -> ArchitectureTable:
    return ArchitectureTable(make_table())


def exported(table: ArchitectureTable, folder: Path, seed: int = 0, choice: Choice | None = None, **fields) -> Path:
    dataset = DatasetReference(**table.document.dataset.model_dump())
    fields = {"space": table.space, "dataset": dataset, "seed": seed} | fields
    Architecture(choices=choice or table.entries[1].choice, **fields).write(folder / "architecture.json")
    return folder


def test_a_search_is_read_with_its_cost(table: ArchitectureTable, tmp_path: Path) -> None:
    folder = exported(table, tmp_path / "easrec" / "seed3", seed=3)
    plain = read_search(str(folder), table)
    assert (plain.label, plain.seed, plain.epochs_of_largest) == ("easrec", 3, None)
    assert plain.entry is table.entries[1]
    write_history([{"epoch": e, "train_loss": 1.0, "seconds": 2.0} for e in range(3)], folder / "state/history.csv")
    found = read_search(f"mine={folder}", table)
    assert (found.label, found.epochs_of_largest, found.seconds) == ("mine", pytest.approx(3 * 5.6), 6.0)
    rows = [{"epoch": e, "seconds": 2.0, "price": 0.75} for e in range(4)]
    write_history(rows, folder / "state/history.csv")
    assert read_search(str(folder), table).epochs_of_largest == pytest.approx(3.0)


def test_a_budget_is_that_of_the_search_in_its_own_kind_of_cost(table: ArchitectureTable, tmp_path: Path) -> None:
    costs = {"cost": {"parameters": 30.0, "madds_per_user": 9.0}, "unpruned_cost": {"parameters": 50.0}}
    found = read_search(str(exported(table, tmp_path, budget=0.5, cost_kind="parameters", **costs)), table)
    assert (found.budget, found.budget_kind, found.budget_used) == (0.5, "parameters", 0.6)
    damaged = read_search(str(exported(table, tmp_path, budget=0.5, cost_kind="nominal", **costs)), table)
    assert (damaged.budget, damaged.budget_used) == (0.5, None)


def test_a_cell_of_a_study_holds_its_search_in_a_folder(table: ArchitectureTable, tmp_path: Path) -> None:
    exported(table, tmp_path / "tpe" / "seed1" / "search", seed=1)
    assert read_search(str(tmp_path / "tpe" / "seed1"), table).label == "tpe"


def test_a_search_that_the_table_says_nothing_about_is_refused(table: ArchitectureTable, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no finished search"):
        read_search(str(tmp_path), table)
    other = DatasetReference(name="other", fingerprint="1" * 64, n_users=5, n_items=500)
    with pytest.raises(UserError, match="another preparation of other"):
        read_search(str(exported(table, tmp_path / "a", dataset=other)), table)
    wider = table.space.model_copy(update={"hidden": 32})
    with pytest.raises(UserError, match="of another space than the table: hidden differ"):
        read_search(str(exported(table, tmp_path / "b", space=wider)), table)
    deeper = table.space.model_copy(update={"layers": 4})
    four = Choice(hidden_pruning=0, inner_pruning=0, depth=4)
    with pytest.raises(UserError, match="no architecture such as .*depth=4 is not in this space"):
        read_search(str(exported(table, tmp_path / "c", space=deeper, choice=four)), table)
    recipe = table.space.model_copy(update={"dropout": 0.5, "supernet": "shared"})
    assert read_search(str(exported(table, tmp_path / "d", space=recipe)), table).label == "d"
