"""Files that somebody else wrote, at every reader of the package: nothing is executed, one line says what is wrong.

The readers' own tests say what they accept; here are the files that were made to do harm.
"""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import shutil
import sqlite3
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import easrec_nni
from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.latency import LatencyFile
from easrec_nni.architecture.weights import load_network, read_weights
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, load_dataset, prepare
from easrec_nni.data.sources import delimited
from easrec_nni.data.storage import load_array
from easrec_nni.experiments import sqlite_records
from easrec_nni.experiments.export import export_architecture
from easrec_nni.experiments.file import read_experiment
from easrec_nni.experiments.records import find_experiment
from easrec_nni.experiments.result_files import read_exported
from easrec_nni.report.comparison import read_run
from easrec_nni.retraining.metrics import read_metrics
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.cells import Cell, read_result
from easrec_nni.study.documents import RESULT_FILE, STUDY_FILE
from easrec_nni.study.folder import read_settings
from easrec_nni.tabular.build_folder import BUILD_FILE, BuildFolder
from easrec_nni.tabular.documents import read_table
from easrec_nni.training.run_folder import RunFolder
from search_spaces import Choice, EASRecSpace, SpaceConfig

SPACE = SpaceConfig(n_items=9, max_length=4, hidden=8, inner=16, heads=2, layers=2)
FOUND = Architecture(choices=Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=1), space=SPACE)
DEPTH = 100_000
EXPERIMENT = "abcd1234"


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


@pytest.fixture(autouse=True)
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that is there only if something was executed."""
    file = tmp_path / "canary"
    yield file
    assert not file.exists(), "something was executed"


def refused(read: Callable[[], Any]) -> str:
    """The message of a reader that must refuse what it got: one line, harmless and short."""
    with pytest.raises(UserError) as caught:
        read()
    message = caught.value.message
    assert message.isprintable() and len(message) < 2100
    return message


def test_the_trap_works(canary: Path) -> None:
    pickle.loads(pickle.dumps(Trap(canary)))
    assert canary.exists()
    canary.unlink()


# YAML: settings and experiments

BOMB = "\n".join(
    ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
)
YAML = {
    "a call": "data: !!python/object/apply:os.system ['touch CANARY']",
    "a new object": "data: !!python/object/new:os.system ['touch CANARY']",
    "a name": "data: !!python/name:os.system",
    "a module": "data: !!python/module:os",
    "a call as a key": "? !!python/object/apply:os.system ['touch CANARY']\n: x",
    "a call far inside": "data: x\nsearchSpace: {a: [{b: !!python/object/apply:os.system ['touch CANARY']}]}",
    "a bomb of aliases": BOMB + "\ndata: x\ntuner: *a8\nspace: {dropout: *a8}",
    "an alias of itself": "data: x\nspace: &a {b: *a}\ntuner: [*a]",
    "nesting": "[" * DEPTH,
    "nesting of keys": "{a: " * DEPTH,
    "a number of 5,000 digits": "data: x\nseed: " + "9" * 5000,
    "an empty number": 'data: x\nseed: !!int ""',
    "no truth": "data: x\nseed: !!bool perhaps",
    "no time": "data: x\nseed: !!timestamp never",
    "month 13": "data: x\nseed: 2001-13-01",
    "two documents": "data: x\n---\ndata: y",
    "a pickle": None,
    "zeros": "\0" * 1000,
}


@pytest.mark.parametrize("reader", [TrialSettings.read, read_experiment])
@pytest.mark.parametrize("name", YAML)
def test_yaml(name: str, reader: Callable[[Path], Any], tmp_path: Path, canary: Path) -> None:
    file, text = tmp_path / "file.yml", YAML[name]
    file.write_bytes(pickle.dumps(Trap(canary)) if text is None else text.replace("CANARY", str(canary)).encode())
    assert str(file) in refused(lambda: reader(file))


# JSON: every kind of document that is read


def read_dataset_manifest(text: str, folder: Path) -> Any:
    (folder / "manifest.json").write_text(text)
    return load_dataset(folder)


def read_experiments(text: str, folder: Path) -> Any:
    (folder / "nni-experiments").mkdir()
    (folder / "nni-experiments" / ".experiment").write_text(text)
    return find_experiment(EXPERIMENT)


def read_request(text: str, folder: Path) -> Any:
    (folder / "state").mkdir()
    (folder / "state" / "request.json").write_text(text)
    return RunFolder.open(folder, {"seed": 0})


def reading(name: str, reader: Callable[[Path], Any], of_folder: bool = False) -> Callable[[str, Path], Any]:
    """Reader of a text that is put into a file of that name."""

    def read(text: str, folder: Path) -> Any:
        (folder / name).write_text(text)
        return reader(folder if of_folder else folder / name)

    return read


JSON_READERS: dict[str, Callable[[str, Path], Any]] = {
    "architecture": reading("architecture.json", Architecture.read),
    "manifest": read_dataset_manifest,
    "metrics": reading("metrics.json", read_metrics, of_folder=True),
    "figures of a run": reading("metrics.json", lambda file: read_run("mine", file)),
    "study": reading(STUDY_FILE, read_settings, of_folder=True),
    "exported trials": reading("trials.json", read_exported),
    "NNI's experiments": read_experiments,
    "request of a run": read_request,
    "latency file": reading("latency.json", LatencyFile.read),
    "architecture table": reading("table.json", read_table),
    "build of a table": reading(BUILD_FILE, BuildFolder.read, of_folder=True),
}
JSON = {
    "lists in lists": "[" * DEPTH,
    "objects in objects": '{"a":' * DEPTH,
    "a number of 5,000 digits": '{"schema_version": ' + "9" * 5000 + "}",
    "a number of a gigabyte's name": '{"schema_version": 1e1000000000, "format_version": 1e1000000000}',
    "a number alone": "9" * 4000,
    "text alone": '"x"',
    "nothing": "",
    "null": "null",
    "Python": "__import__('os').system('touch CANARY')",
}


@pytest.mark.parametrize("reader", JSON_READERS)
@pytest.mark.parametrize("name", JSON)
def test_json(name: str, reader: str, tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    refused(lambda: JSON_READERS[reader](JSON[name].replace("CANARY", str(canary)), tmp_path))


@pytest.mark.parametrize("name", JSON)
def test_a_cell_whose_result_is_no_result_is_not_complete(name: str, tmp_path: Path) -> None:
    (tmp_path / RESULT_FILE).write_text(JSON[name])
    assert read_result(tmp_path) is None


# Arrays of datasets


def npy(shape: str, kind: str = "'<i4'") -> bytes:
    """An array's file that claims a shape and holds nothing."""
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (64 - (len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin-1")


ARRAYS = {
    "10^9 numbers": npy(f"({10**9},)"),
    "10^18 numbers": npy(f"({10**18},)"),
    "10^30 numbers": npy(f"({10**30},)"),
    "fewer than none": npy("(-1,)"),
    "texts of 10^9 characters": npy("(1,)", "'<U1000000000'"),
    "objects": npy("(1,)", "'|O'"),
    "arrays in an array": npy("(1,)", "[('a', '<i4', (1000000, 1000000, 1000000))]"),
    "a shape that is a call": npy("__import__('os').system('touch canary')"),
    "nesting": npy("(" * 3000 + ")" * 3000),
    "a header of 2 GB": b"\x93NUMPY\x03\x00" + struct.pack("<I", 2**31 - 1),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "items.npy").write_bytes(ARRAYS[name])
    assert "items.npy is missing or damaged" in refused(lambda: load_array(tmp_path / "items.npy"))


@pytest.mark.parametrize("as_array", [False, True])
def test_pickles_in_place_of_arrays(as_array: bool, tmp_path: Path, canary: Path) -> None:
    file = tmp_path / "items.npy"
    if as_array:
        np.save(file, np.array([Trap(canary)], dtype=object), allow_pickle=True)
    else:
        file.write_bytes(pickle.dumps(Trap(canary)))
    refused(lambda: load_array(file))


def test_an_archive_of_arrays_in_place_of_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "items.npz", items=np.arange(3))
    (tmp_path / "items.npz").rename(tmp_path / "items.npy")
    refused(lambda: load_array(tmp_path / "items.npy"))


# Dataset folders whose numbers point outside of what they count


@pytest.fixture
def folder(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    """A dataset of 30 items with a feature, which is in order."""
    folder = Path(shutil.copytree(tiny_dataset.path, tmp_path / "dataset"))
    change(folder, features=[{"name": "genre", "values": 2, "items_without": 0}])
    np.save(folder / "features" / "genre.offsets.npy", np.maximum(np.arange(32) - 1, 0))
    np.save(folder / "features" / "genre.values.npy", np.ones(30, dtype=np.int32))
    (folder / "features" / "genre.vocabulary.json").write_text('["", "a", "b"]')
    assert load_dataset(folder).item_features["genre"].vocabulary == ("", "a", "b")
    return folder


def change(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


INDICES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a negative item": ("negatives/uni100_test.npy", lambda array: array - 1, "uni100_test has numbers outside"),
    "an item too many": ("negatives/pop100_valid.npy", lambda array: array + 1, "pop100_valid has numbers outside"),
    "values from afar": ("features/genre.offsets.npy", lambda array: array * 10**12, "do not divide its values"),
    "values backwards": ("features/genre.offsets.npy", lambda array: array[::-1].copy(), "do not divide its values"),
    "an unknown value": ("features/genre.values.npy", lambda array: array + 2, "outside its vocabulary"),
    "a value of padding": ("features/genre.values.npy", lambda array: array - 1, "outside its vocabulary"),
    "values in rows": ("features/genre.values.npy", lambda array: array.reshape(15, 2), "values of feature genre"),
}


@pytest.mark.parametrize("name", INDICES)
def test_numbers_that_point_elsewhere(name: str, folder: Path) -> None:
    file, damage, words = INDICES[name]
    np.save(folder / file, damage(np.load(folder / file)))
    assert words in refused(lambda: load_dataset(folder))


@pytest.mark.parametrize("text", ["[" * DEPTH, '{"a": 1}', '["", 1, "b"]', "null"])
def test_vocabularies_that_are_none(text: str, folder: Path) -> None:
    (folder / "features" / "genre.vocabulary.json").write_text(text)
    refused(lambda: load_dataset(folder))


@pytest.mark.parametrize("name", ["../../x", "/etc/cron.d/x", "a/b", "\x1b[2J", "", "x" * 101, ".hidden"])
def test_a_manifests_name_becomes_a_folders_name(name: str, folder: Path) -> None:
    change(folder, name=name)
    refused(lambda: load_dataset(folder))


@pytest.mark.parametrize("name", ["../../x", "..", "/etc", "~root", "a\\b", "a\nb", "\ud800", "a\0b"])
def test_names_of_datasets(name: str, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASREC_HOME", str(tmp_path / "home"))
    refused(lambda: load_dataset(name))
    log = tmp_path / "log.csv"
    log.write_text("user,item,time\n")
    assert "cannot be the name of a dataset" in refused(lambda: prepare(log, name=name))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.csv"]


# Archives


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


RATINGS = "\n".join(f"{user}::{(user + t) % 9 + 1}::5::{t}" for user in range(1, 9) for t in range(6)).encode()
MOVIES = "\n".join(f"{item}::Title (1999)::Drama" for item in range(1, 10)).encode()
MEMBERS = {"ml-1m/ratings.dat": RATINGS, "ml-1m/movies.dat": MOVIES}


def test_members_with_paths_are_never_written(tmp_path: Path) -> None:
    hostile = {"../../escaped": b"x", "/absolute": b"x", "ml-1m/../../escaped": b"x", "a\\..\\escaped": b"x"}
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    dataset = prepare("ml-1m", inside / "prepared", path=archive(inside / "ml-1m.zip", hostile | MEMBERS))
    assert dataset.n_users == 8
    assert sorted(file.name for file in inside.iterdir()) == ["ml-1m.zip", "prepared"]
    assert [file.name for file in tmp_path.iterdir()] == ["a"] and not list(tmp_path.rglob("escaped"))


def with_bits(file: Path, mark: bytes, place: int, value: int) -> Path:
    """Change a byte of every header of a zip archive."""
    content, start = bytearray(file.read_bytes()), 0
    while (start := content.find(mark, start)) >= 0:
        content[start + place] = value
        start += len(mark)
    file.write_bytes(content)
    return file


def test_archives_that_cannot_be_unpacked(tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ml-1m.zip"
    read = lambda: prepare("ml-1m", tmp_path / "out", path=file)  # noqa: E731
    with_bits(with_bits(archive(file, MEMBERS), b"PK\x03\x04", 6, 1), b"PK\x01\x02", 8, 1)
    assert "encrypted" in refused(read)
    with_bits(archive(file, MEMBERS), b"PK\x01\x02", 10, 97)
    assert "compression method" in refused(read)
    file.write_bytes(pickle.dumps(Trap(canary)))
    assert "broken or incomplete" in refused(read)
    monkeypatch.setattr(delimited, "_LARGEST_MEMBER_BYTES", len(RATINGS) - 1)
    archive(file, MEMBERS)
    assert "too large to be read from an archive" in refused(read)


@pytest.mark.parametrize("name", ["log.csv", "log.parquet", "log.tsv", "log.csv.gz", "log.pkl"])
def test_pickles_in_place_of_logs(name: str, tmp_path: Path, canary: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Trap(canary)))
    refused(lambda: prepare(tmp_path / name, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# Weights and checkpoints


def safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


WEIGHTS = {
    "nothing": b"",
    "a header of 2^62 bytes": struct.pack("<Q", 2**62),
    "nesting": safetensors(b'{"a":' * DEPTH),
    "2^40 numbers": safetensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    "2^66 numbers": safetensors({"a": {"dtype": "F32", "shape": [2**33, 2**33], "data_offsets": [0, 4]}}, b"\0" * 4),
    "fewer than none": safetensors({"a": {"dtype": "U8", "shape": [-4], "data_offsets": [0, 4]}}, b"\0" * 4),
    "one place twice": safetensors(
        {name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for name in "ab"}, b"\0" * 4
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(WEIGHTS[name])
    assert "is not a safetensors file" in refused(lambda: read_weights(tmp_path / "w.safetensors"))


def checkpoints(canary: Path) -> dict[str, bytes]:
    """Files in place of weights or of a checkpoint, some of which execute something when they are unpickled."""
    trap = {"state_dict": Trap(canary), "pytorch-lightning_version": "2", "loops": 0, "callbacks": 0}
    files = {"a pickle": pickle.dumps(Trap(canary)), "garbage": b"no checkpoint", "nothing": b""}
    contents: dict[str, Any] = {"torch": trap, "a list": [1], "other keys": {"weights": torch.ones(2)}}
    for name, content in contents.items():
        for zipped in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=zipped)
            files[f"{name}, {'new' if zipped else 'old'} form"] = stream.getvalue()
    return files


def test_pickles_in_place_of_weights(tmp_path: Path, canary: Path) -> None:
    for content in checkpoints(canary).values():
        (tmp_path / "w.safetensors").write_bytes(content)
        refused(lambda: load_network(FOUND, tmp_path / "w.safetensors"))


def test_weights_of_another_kind(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = {name: weight.contiguous() for name, weight in EASRecSpace(FOUND.network).state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    load_network(FOUND, tmp_path / "w.safetensors")
    name = next(iter(weights))
    save_file(weights | {name: weights[name].to(torch.complex64)}, tmp_path / "w.safetensors")
    assert f"holds {name} as torch.complex64" in refused(lambda: load_network(FOUND, tmp_path / "w.safetensors"))


def test_checkpoints(tmp_path: Path, canary: Path) -> None:
    run = RunFolder.open(tmp_path / "run", {"seed": 0})
    assert run.checkpoint is None
    for content in checkpoints(canary).values():
        (run.state / "last.ckpt").write_bytes(content)
        message = refused(lambda: run.checkpoint)
        assert "last.ckpt is damaged or not a checkpoint of a run: pass --restart" in message


def test_the_state_of_a_run_that_is_damaged_can_be_begun_anew(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path / "run", {"seed": 0})
    (run.state / "request.json").write_text('{"sha256": 5, "request": []}')
    assert "--restart" in refused(lambda: RunFolder.open(tmp_path / "run", {"seed": 0}))
    assert RunFolder.open(tmp_path / "run", {"seed": 0}, restart=True).checkpoint is None


# NNI's records and names of experiments, trials and cells


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Maker of a stopped experiment's records of one trial: last event, id, and a final result."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    home = tmp_path / "home" / "nni-experiments"
    home.mkdir(parents=True)
    (home / ".experiment").write_text(json.dumps({EXPERIMENT: {"status": "STOPPED", "logDir": str(tmp_path / "runs")}}))
    (tmp_path / "runs" / EXPERIMENT / "db").mkdir(parents=True)

    def make(final: Any, trial: str = "t1", when: Any = 1, sampled: Any = "{}", tables: str = TABLES) -> None:
        with closing(sqlite3.connect(tmp_path / "runs" / EXPERIMENT / "db" / "nni.sqlite")) as database, database:
            database.executescript(tables)
            if tables is TABLES:
                event = (when, trial, "SUCCEEDED", sampled, 0)
                database.execute("insert into TrialJobEvent values (?, ?, ?, ?, ?)", event)
                database.execute("insert into MetricData values (1, ?, '0', 'FINAL', 0, ?)", (trial, final))

    return make


COLUMNS = "(timestamp integer, trialJobId text, event text, data text, sequenceId integer)"
METRICS = "create table MetricData (timestamp integer, trialJobId text, parameterId text, type text, sequence, data);"
TABLES = f"create table TrialJobEvent {COLUMNS}; {METRICS}"
ENDLESS = f"""{METRICS} create view TrialJobEvent as with recursive n(x) as (select 1 union all select x + 1 from n)
    select x timestamp, 'a' trialJobId, 'x' event, '' data, 0 sequenceId from n;"""


def final(**changes: Any) -> str:
    return json.dumps({"default": 0.5, "architecture": FOUND.to_json(indent=None)} | changes)


@pytest.mark.parametrize("trial", ["../../../../etc", "/etc", "a/b", "..", "x" * 65, "\x1b[2J"])
def test_ids_of_trials_become_paths(trial: str, records: Callable[..., None], tmp_path: Path) -> None:
    records(final(), trial)
    assert "is not a trial id" in refused(lambda: export_architecture(EXPERIMENT, tmp_path / "out.json"))


@pytest.mark.parametrize(
    "result",
    [
        "[" * DEPTH,
        "9" * 5000,
        '{"default": ' + "9" * 4000 + "}",
        '{"default": 1e999}',
        None,
        pickle.dumps({"default": 1}),
        final(architecture="[" * DEPTH),
        final(architecture="/etc/passwd"),
        final(architecture=["/etc/passwd"]),
        final(architecture=FOUND.to_json().replace('"hidden": 8', '"hidden": 1000000000')),
    ],
    ids=range(10),
)
def test_final_results(result: Any, records: Callable[..., None], tmp_path: Path) -> None:
    records(result)
    refused(lambda: export_architecture(EXPERIMENT, tmp_path / "out.json"))
    assert not (tmp_path / "out.json").exists()


def test_records_with_text_for_numbers(records: Callable[..., None], tmp_path: Path) -> None:
    records(final(), when="yesterday")
    assert "they are damaged" in refused(lambda: export_architecture(EXPERIMENT, tmp_path / "out.json"))


def test_records_with_nonsense_for_parameters_still_hold_the_result(
    records: Callable[..., None], tmp_path: Path
) -> None:
    records(final(), sampled="[" * DEPTH)
    assert export_architecture(EXPERIMENT, tmp_path / "out.json").architecture == FOUND


def test_records_that_compute_for_ever(
    records: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_records, "READING_SECONDS", 0.2)
    records(None, tables=ENDLESS)
    assert "interrupted" in refused(lambda: export_architecture(EXPERIMENT, tmp_path / "out.json"))


@pytest.mark.parametrize("name", ["../..", "..", "/etc", "a/b", "", "x" * 65, f"{EXPERIMENT}\n", "\0", "*"])
def test_ids_of_experiments(name: str, records: Callable[..., None]) -> None:
    assert "NNI has no experiment" in refused(lambda: find_experiment(name))


@pytest.mark.parametrize(
    "entry",
    [{"logDir": 5}, {"logDir": "\0"}, {"logDir": "x" * 5000}, {"port": True, "status": "RUNNING"}, {"port": []}],
)
def test_nnis_list_of_experiments(entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "nni-experiments").mkdir()
    (tmp_path / "nni-experiments" / ".experiment").write_text(json.dumps({EXPERIMENT: entry}))
    assert "are gone" in refused(lambda: find_experiment(EXPERIMENT))


EXPORTED = {
    "parameters that are a list": '[{"trialJobId": "a", "value": "1", "parameter": [1]}]',
    "nesting in parameters": json.dumps(
        {"trialMessage": [{"trialJobId": "a", "status": "S", "hyperParameters": ["[" * DEPTH]}]}
    ),
    "an infinite number": '{"trialMessage": [{"trialJobId": "a", "status": "S", "sequenceId": 1e999}]}',
    "a path for an id": '[{"trialJobId": "../../../../etc", "value": {"default": 1}}]',
    "a path for an architecture": '{"default": 0.5, "architecture": "/etc/passwd"}',
}


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_trials(name: str, tmp_path: Path) -> None:
    (tmp_path / "trials.json").write_text(EXPORTED[name])
    refused(lambda: export_architecture(tmp_path / "trials.json", tmp_path / "out.json", weights=True))
    assert not (tmp_path / "out.json").exists()


def test_a_table_of_trials_with_a_huge_cell(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text("trialJobId,default,architecture\na,1," + "x" * (2 << 20))
    assert "field larger than field limit" in refused(lambda: read_exported(tmp_path / "trials.csv"))


@pytest.mark.parametrize("parameters", [{"../../x": 1}, {"mode": "../../x"}, {"x": "\0"}, {"x": "y" * 300}, {"a\n": 1}])
def test_parameters_of_cells_become_folders(parameters: dict[str, Any]) -> None:
    assert "cannot be the name of a folder" in refused(lambda: Cell("easrec", 0, parameters).path)


# Terminals


def test_terminals_are_not_commanded(tmp_path: Path) -> None:
    assert UserError("a\x1b[2J\x07\u202eb").message == "a\\x1b[2J\\x07\\u202eb"
    for part in ({"cost": {"\x1b[2J": 1.0}}, {"metrics": {"\x1b]0;x\x07": 1.0}}, {"versions": {"a": "\x1b[2J"}}):
        refused(lambda part=part: Architecture.parse(json.dumps(json.loads(FOUND.to_json()) | part)))  # type: ignore[misc]
    dataset = {"name": "[red]\x1b[2J", "n_users": 1, "n_items": 9}
    refused(lambda: Architecture.parse(json.dumps(json.loads(FOUND.to_json()) | {"dataset": dataset})))
    plain = Architecture.parse(json.dumps(json.loads(FOUND.to_json()) | {"dataset": dataset | {"name": "[red]x[/]"}}))
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    console.print(plain.draw())
    assert "[red]x[/]" in console.file.getvalue()  # type: ignore[attr-defined]


# The source itself: what could execute a file's contents is not called, or only in the way that cannot

FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "tarfile"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "yaml.full_load", "yaml.unsafe_load"),
    *("pd.read_pickle", "shutil.unpack_archive", "torch.jit.load", "pd.eval"),
}
NEEDED_KEYWORDS = {"np.load": ("allow_pickle", False), "torch.load": ("weights_only", True)}
ROOT = Path(easrec_nni.__file__).parents[1]
SOURCES = sorted(file for name in ("easrec_nni", "search_spaces", "strategies") for file in (ROOT / name).rglob("*.py"))


def unsafe_calls(source: str) -> list[str]:
    """What in a source could execute what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)}
        keyword, value = NEEDED_KEYWORDS.get(name, (None, None))
        wrong = name in FORBIDDEN_CALLS or name.endswith(".extractall")
        if wrong or given.get("shell") is True or (keyword and given.get(keyword) is not value):
            found.append(name)
    return found


def test_the_search_for_unsafe_calls_finds_them() -> None:
    lines = ["import pickle", "eval(x)", "np.load(f)", "torch.load(f, weights_only=False)", "run(c, shell=True)"]
    assert [len(unsafe_calls(line)) for line in lines] == [1] * len(lines)
    assert unsafe_calls("np.load(f, allow_pickle=False); torch.load(f, weights_only=True); model.eval()") == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_source_calls_what_executes_files(file: Path) -> None:
    assert unsafe_calls(file.read_text(encoding="utf-8")) == []
