"""Runs and datasets prepared again: weights are used where items have the numbers that they were trained with."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.run_folder import check_dataset, check_items, open_run
from easrec_nni.architecture.schema import DatasetReference
from easrec_nni.architecture.weights import save_weights
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, prepare
from easrec_nni.data.ids import IdTable
from search_spaces import Choice, EASRecNetwork, SpaceConfig

CHOICE = Choice(hidden_pruning=0, inner_pruning=0, depth=1)


@pytest.fixture
def run(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    """Network of random weights with the tiny dataset's items."""
    space = SpaceConfig(n_items=tiny_dataset.n_items, max_length=20, hidden=8, inner=16, heads=2, layers=1)
    folder = tmp_path / "run"
    folder.mkdir()
    Architecture(choices=CHOICE, space=space, dataset=DatasetReference.of(tiny_dataset)).write(
        folder / "architecture.json"
    )
    save_weights(EASRecNetwork(space.compact(CHOICE)).state_dict(), folder / "weights.safetensors")
    return folder


def prepared_again(dataset: Dataset, folder: Path, first: str = "", last: str = "") -> Dataset:
    """The dataset's log with a line in front of the others, or behind them."""
    header, *rows = (dataset.path.parent / "tiny.csv").read_text().splitlines()
    log = folder / "tiny.csv"
    log.write_text("\n".join(filter(None, [header, first, *rows, last])) + "\n")
    return prepare(log, folder / "again")


def test_an_interaction_more_keeps_the_numbers(
    run: Path, tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    again = prepared_again(tiny_dataset, tmp_path, last="u0,i7,5000")
    assert again.fingerprint != tiny_dataset.fingerprint
    assert again.items_sha256 == tiny_dataset.items_sha256
    with caplog.at_level(logging.WARNING):
        assert open_run(run, again)[1] is again
    assert not caplog.records


def test_weights_of_items_with_other_numbers_are_refused(run: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    again = prepared_again(tiny_dataset, tmp_path, first="u0,i7,5")
    assert again.n_items == tiny_dataset.n_items
    assert again.item_ids.tolist() != tiny_dataset.item_ids.tolist()
    with pytest.raises(UserError, match=r"items have other numbers in .*again, so.*retrain on this one"):
        open_run(run, again)
    check_dataset(Architecture.read(run / "architecture.json"), again)  # an architecture alone fits


@pytest.mark.parametrize(
    "command",
    [
        "recommend {run} --data {again} --history i7",
        "evaluate {run} --data {again}",
        "export {run} --data {again} --onnx {out}",
        "retrain --arch {run}/architecture.json --data {again} --weights {run}/weights.safetensors --out {out}",
        "retrain --arch {run}/architecture.json --data {again} --scratch --teacher {run} --out {out}",
    ],
)
def test_each_command_refuses_them(run: Path, tiny_dataset: Dataset, tmp_path: Path, command: str) -> None:
    again, out = prepared_again(tiny_dataset, tmp_path, first="u0,i7,5"), tmp_path / "out"
    done = CliRunner().invoke(app, command.format(run=run, again=again.path, out=out).split())
    assert done.exit_code == 2, done.output
    assert "other numbers" in " ".join(done.output.split())
    assert not out.exists()


def test_a_run_that_did_not_record_its_items_is_used_with_a_warning(
    run: Path, tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = run / "architecture.json"
    document = Architecture.read(file).model_dump(by_alias=True, exclude_none=True)
    del document["dataset"]["items_sha256"]
    Architecture.model_validate(document).write(file)
    again = prepared_again(tiny_dataset, tmp_path, first="u0,i7,5")
    with caplog.at_level(logging.WARNING):
        check_items(Architecture.read(file), again)
    assert f"does not say whether items have the same numbers in {again.path}" in caplog.text


def test_ids_divided_otherwise_have_another_checksum() -> None:
    assert IdTable.of(["ab", "c"]).sha256() != IdTable.of(["a", "bc"]).sha256()


@pytest.mark.parametrize("command", ["recommend {run} --history i7", "evaluate {run}", "export {run} --onnx {run}/o"])
def test_the_folder_of_a_search_is_told_from_that_of_a_network(run: Path, tmp_path: Path, command: str) -> None:
    search = tmp_path / "search"
    run.rename(tmp_path / "retrained")
    search.mkdir()
    (tmp_path / "retrained").rename(search / "retrained")
    done = CliRunner().invoke(app, command.format(run=search).split())
    assert done.exit_code == 2
    assert f"its network is in {search / 'retrained'}" in " ".join(done.output.split())
    assert Architecture.read(search / "retrained").choices == CHOICE
