"""Checks of `easrec launch`, with the messages of their failures."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.experiments import checks as environment_checks
from easrec_nni.experiments.checks import (
    CHECKS,
    check_code_directory,
    check_disk,
    check_interpreter,
    check_machine,
    check_nnictl,
    check_threads,
    run_checks,
)
from easrec_nni.experiments.data_checks import check_settings_and_data, state_bytes
from easrec_nni.experiments.file import ExperimentFile, read_experiment
from easrec_nni.experiments.folder_size import measure_folder

CONFIG: dict[str, Any] = {
    "searchSpace": {"lambda": {"_type": "choice", "_value": [0.0, 1.0]}},
    "trialCommand": "python3 -m easrec_nni.trial --settings settings.yml",
    "trialConcurrency": 2,
    "maxTrialNumber": 4,
    "tuner": {"name": "GridSearch"},
    "trainingService": {"platform": "local"},
}
REMOTE = {"platform": "remote", "machineList": [{"host": "worker", "user": "me", "password": "secret"}]}

Make = Callable[..., ExperimentFile]


@pytest.fixture
def make(tmp_path: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Factory of a valid experiment with changes of the test, in a home of its own."""
    home, code = tmp_path / "home", tmp_path / "code"
    home.mkdir()
    code.mkdir()
    monkeypatch.setenv("HOME", str(home))
    space = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2}
    (code / "settings.yml").write_text(yaml.safe_dump({"data": str(tiny_dataset.path), "space": space}))

    def make(**changes: Any) -> ExperimentFile:
        (code / "tiny.yml").write_text(yaml.safe_dump(CONFIG | changes))
        return read_experiment(code / "tiny.yml")

    return make


def refusal(check: Callable[[ExperimentFile], str], experiment: ExperimentFile) -> str:
    """One-line message of a failing check."""
    with pytest.raises(UserError) as caught:
        check(experiment)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_what_is_in_order_passes_every_check(make: Make) -> None:
    findings = run_checks(make())
    assert [finding.check for finding in findings] == [name for name, _ in CHECKS]
    assert [finding.text for finding in findings if finding.wrong] == []


def test_all_that_is_wrong_is_found_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    experiment = make(trialCommand="nopython -m easrec_nni.trial --settings none.yml")
    wrong = [finding.check for finding in run_checks(experiment) if finding.wrong]
    assert wrong == ["machine", "interpreter", "settings and data"]


@pytest.mark.parametrize(
    ("machine", "library", "words"),
    [
        ("aarch64", ("glibc", "2.36"), "x86-64 only and this machine is aarch64"),
        ("x86_64", ("glibc", "2.17"), "needs glibc 2.28 or newer and this machine has glibc 2.17"),
        ("x86_64", ("", ""), "this machine has another C library"),
    ],
)
def test_machines_that_nnis_server_does_not_run_on(
    make: Make, monkeypatch: pytest.MonkeyPatch, machine: str, library: tuple[str, str], words: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    message = refusal(check_machine, make())
    assert words in message and "`easrec search`" in message


def test_the_oldest_glibc_that_is_enough(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.28"))
    assert check_machine(make()) == "x86-64, glibc 2.28"


def test_a_setuptools_without_pkg_resources(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pkg_resources" else find_spec(name, *rest)
    )
    message = refusal(check_nnictl, make())
    assert "pkg_resources" in message and f"{sys.executable} -m pip install 'setuptools>=77.0.3,<81'" in message


def test_a_disk_without_room(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    experiment = make()
    needed = environment_checks.LEAST_FREE_BYTES + 4 * state_bytes(experiment)
    free = SimpleNamespace(free=needed)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    assert "201.5 MB required" in check_disk(experiment)
    free.free = needed - 1
    message = refusal(check_disk, experiment)
    assert f"{tmp_path / 'home' / 'nni-experiments'} has 201.5 MB free" in message
    assert "4 trial(s)" in message and "experimentWorkingDirectory" in message


def test_a_full_disk_of_the_code_directory(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = tmp_path / "code"
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=5 if folder == code else 1 << 40))
    assert f"{code} has 5 B free and the trials' code directory need" in refusal(check_disk, make())


def test_a_working_directory_that_cannot_be_written_to(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda folder, mode: False)
    assert "is not writable: set experimentWorkingDirectory" in refusal(check_disk, make())


def test_a_working_directory_that_is_a_file(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/inner"):
        message = refusal(check_disk, make(experimentWorkingDirectory=str(tmp_path / folder)))
        assert message == f"{tmp_path / 'file'} is a file: set experimentWorkingDirectory to a folder"


def test_a_trials_state_grows_with_catalogue_and_network(make: Make, tmp_path: Path) -> None:
    experiment = make()
    embeddings, blocks = (30 + 1 + 8) * 8, 2 * (4 * 64 + 2 * 8 * 16)
    # 2 x 2 candidates of the default pruning ratios' count, each with blocks of its own.
    per_block, rest = divmod(state_bytes(experiment) // (4 * 10) - embeddings, blocks)
    assert per_block >= 1 and rest == 0
    (tmp_path / "code" / "settings.yml").write_text("data: nothing-of-that-name")
    assert state_bytes(experiment) == 0  # another check says so


@pytest.mark.slow
def test_a_trial_writes_no_more_than_was_reserved(make: Make, tiny_dataset: Dataset, tmp_path: Path) -> None:
    """The estimate counts only weights; histories and figures fit into every experiment's reserve."""
    from easrec_nni import TrialSettings, search

    settings = TrialSettings.read(tmp_path / "code" / "settings.yml")
    settings = settings.with_parameters({"search.epochs": 1, "space.hidden": 32, "space.inner": 64})
    (tmp_path / "code" / "settings.yml").write_text(yaml.safe_dump(settings.model_dump(mode="json", by_alias=True)))
    search(tiny_dataset, settings, tmp_path / "run")
    written = sum(file.stat().st_size for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert 0.4 * written < state_bytes(make()) / 2 < 2 * written  # one of the two stages


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "python9.9 -m easrec_nni.trial --settings settings.yml",
            "names python9.9, which does not exist: write python3",
        ),
        ("./python -m easrec_nni.trial --settings settings.yml", "which has no easrec_nni: write python3"),
        (
            "/nowhere/python3 -m easrec_nni.trial --settings settings.yml",
            "names /nowhere/python3, which does not exist",
        ),
    ],
)
def test_interpreters_that_cannot_run_the_trial(make: Make, tmp_path: Path, command: str, words: str) -> None:
    other = tmp_path / "code" / "python"
    other.write_text("#!/bin/sh\nexit 1\n")  # as a Python without the package answers
    other.chmod(0o755)
    assert words in refusal(check_interpreter, make(trialCommand=command))


def test_another_interpreter_that_has_the_package(make: Make, tmp_path: Path) -> None:
    other = tmp_path / "other" / "python3"
    other.parent.mkdir()
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')  # an environment of its own
    other.chmod(0o755)
    experiment = make(trialCommand=f"OMP_NUM_THREADS=1 {other} -m easrec_nni.trial --settings settings.yml")
    assert check_interpreter(experiment) == f"trialCommand's {other} is {other}"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("pyhton3 -m easrec_nni.trial --settings s.yml", "pyhton3 does not exist: write `python3 -m easrec_nni.trial"),
        ("A=1 ./mine.sh", "./mine.sh does not exist"),
        ("python3 -m easrec.trial --settings s.yml", "finds no module easrec.trial from .*: this package's trial is"),
        ("python3 -m easrec_nni.trail --settings s.yml", "easrec_nni.trail, which does not exist: this package's"),
        ("python3 -m easrec_nni.trail.x --settings s.yml", "easrec_nni.trail.x, which does not exist"),
        ("python3 mine.py", "names mine.py, which is not in .*/code: correct the path"),
    ],
)
def test_programs_and_modules_that_are_not_there(make: Make, command: str, words: str) -> None:
    assert re.search(words, refusal(check_interpreter, make(trialCommand=command)))


def test_commands_of_others_that_exist(make: Make, tmp_path: Path) -> None:
    experiment = make(trialCommand="A=1 ./mine.sh --x")
    (tmp_path / "code" / "mine.sh").write_text("#!/bin/sh\n")
    (tmp_path / "code" / "mine.sh").chmod(0o755)
    assert check_interpreter(experiment) == "trialCommand runs ./mine.sh, which is not of this package"
    (tmp_path / "code" / "mine.py").write_text("")
    for command, what in (("python3 -m mine", "mine"), ("cd . && ./mine.sh", "cd"), ("python3 mine.py", "mine.py")):
        seen = check_interpreter(make(trialCommand=command))
        assert seen == f"trialCommand runs {what}, which is not of this package"


def test_the_interpreter_is_the_one_that_a_trial_gets(make: Make) -> None:
    assert check_interpreter(make()) == f"trialCommand's python3 is {Path(sys.executable).with_name('python3')}"
    assert "not checked" in check_interpreter(make(trialCommand="$HOME/mine.sh"))
    assert "workers' PATH" in check_interpreter(make(trainingService=REMOTE))


@pytest.mark.parametrize(
    ("settings", "changes", "words"),
    [
        ("data: ml-1m-not-there", {}, "run 'easrec prepare ml-1m-not-there'"),
        ("data: ./not-there", {}, "run 'easrec prepare SOURCE --out"),
        ("data: ../../x", {}, "is not a prepared dataset"),
        ("data: '..'", {}, "cannot be the name of a dataset"),
        ("data: x\nserch: {}", {}, "unknown key 'serch'"),
        (None, {}, "there is no settings file"),
        ("data: {data}\nspace: {heads: 3, hidden: 8}", {}, "heads=3 do not divide"),
        ("data: {data}\nsearch: {latency_file: gone.json}", {}, "cannot read .*code/gone.json.*`easrec profile"),
        (
            "data: {data}",
            {"searchSpace": {"lamda": {"_type": "choice", "_value": [1]}}},
            "searchSpace, lamda: .*'lamda' is no",
        ),
        (
            "data: {data}",
            {"searchSpace": {"lambda": {"_type": "choice", "_value": [1, -1]}}},
            "searchSpace, lambda: .*-1",
        ),
        (
            "data: {data}",
            {"searchSpace": {"lambda": {"_type": "choice", "_value": [True, False]}}},
            "searchSpace, lambda: .*yes and no",
        ),
        (
            "data: {data}",
            {
                "searchSpace": {
                    "lambda": {"_type": "choice", "_value": [1]},
                    "search.lambda": {"_type": "choice", "_value": [2]},
                }
            },
            "'lambda' and 'search.lambda' are the same: give one",
        ),
        (
            "data: {data}",
            {"searchSpace": {"data": {"_type": "choice", "_value": ["not-there"]}}},
            "searchSpace, data: .*run 'easrec prepare not-there'",
        ),
        ("data: {data}", {"trialCommand": "python3 -m easrec_nni.trial"}, "a trial's arguments are 'missing'"),
        ("data: {data}", {"trialCommand": "python3 -m easrec_nni.trial --settings ''"}, "write python3 -m"),
        ("data: {data}", {"trialCommand": "python3 -m easrec_nni.trial --setings s.yml"}, "are '--setings s.yml'"),
        (
            "data: {data}",
            {"trialCommand": "python3 -m easrec_nni.trial --settings settings.yml --out foo"},
            "--settings FILE .--set KEY=VALUE.",
        ),
    ],
)
def test_settings_and_data_that_no_trial_could_use(
    make: Make, tiny_dataset: Dataset, tmp_path: Path, settings: str | None, changes: dict[str, Any], words: str
) -> None:
    file = tmp_path / "code" / "settings.yml"
    if settings is None:
        file.unlink()
    else:
        file.write_text(settings.replace("{data}", str(tiny_dataset.path)))
    with pytest.raises(UserError, match=words):
        check_settings_and_data(make(**changes))


def test_a_dataset_beside_the_settings_is_found_as_the_trial_finds_it(
    make: Make, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    shutil.copytree(tiny_dataset.path, tmp_path / "code" / "prepared")
    (tmp_path / "code" / "settings.yml").write_text("data: ./prepared")
    assert f"tiny: 40 users, 30 items, in {tmp_path / 'code' / 'prepared'}" in check_settings_and_data(make())


def test_a_teacher_is_looked_for_where_the_trials_run(make: Make, tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = {"data": str(tiny_dataset.path), "retrain": {"teacher": "big"}}
    (tmp_path / "code" / "settings.yml").write_text(yaml.safe_dump(settings))
    message = refusal(check_settings_and_data, make())
    assert f"retrain.teacher: there is no big in {tmp_path / 'code'}, where the trials run" in message
    (tmp_path / "code" / "big").mkdir()
    assert check_settings_and_data(make()).startswith("tiny: ")


def test_data_of_other_machines_and_other_programs_are_not_looked_for(make: Make, tmp_path: Path) -> None:
    (tmp_path / "code" / "settings.yml").write_text("data: nothing-of-that-name")
    assert "every worker needs the dataset 'nothing-of-that-name'" in check_settings_and_data(
        make(trainingService=REMOTE)
    )
    assert "not checked" in check_settings_and_data(make(trialCommand="python3 mine.py"))


def fill(folder: Path, files: int, size: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        with (folder / f"{number}.txt").open("wb") as file:
            file.truncate(size)  # a hole: no disk is needed


def test_a_code_directory_that_nni_would_not_pack(make: Make, tmp_path: Path) -> None:
    code = tmp_path / "code"
    fill(code / ".venv" / "lib", 1990)
    fill(code / "small", 3)
    experiment = make(trainingService=REMOTE)
    assert measure_folder(code).files == 1995
    assert "1,995 file(s)" in check_code_directory(experiment)
    fill(code / "more", 6)
    message = refusal(check_code_directory, experiment)
    assert "2,001 file(s)" in message and "NNI refuses more than 2,000 files or 300 MB" in message
    assert "most is in .venv (1,990 files, 0 B), more (6 files, 0 B), small" in message
    assert "without a copy" in check_code_directory(make())
    (code / ".nniignore").write_text(".venv\n")
    assert ".nniignore must exclude enough" in check_code_directory(make(trainingService=REMOTE))


def test_a_code_directory_with_too_many_bytes(make: Make, tmp_path: Path) -> None:
    fill(tmp_path / "code" / "data", 3, 100 << 20)
    experiment = make(trainingService=REMOTE)
    message = refusal(check_code_directory, experiment)
    assert "most is in data (3 files, 314.6 MB)" in message


def test_links_count_as_links_and_a_huge_folder_is_not_counted_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "a", 5, 1000)
    (tmp_path / "a" / "link").symlink_to("/usr")
    size = measure_folder(tmp_path)
    assert size.files == 6 and size.bytes == 5004 and size.complete
    monkeypatch.setattr("easrec_nni.experiments.folder_size.MOST_COUNTED", 3)
    assert str(measure_folder(tmp_path)).startswith("more than 6 file(s)")


def test_threads_are_the_cores_divided_by_the_trials(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert check_threads(make(trialConcurrency=2)) == "2 trial(s) at a time, 4 of 8 core(s) each"
    assert check_threads(make(trialConcurrency=3)) == "3 trial(s) at a time, 2 of 8 core(s) each"
    assert "9 trials at a time share 8 core(s)" in check_threads(make(trialConcurrency=9))
    assert "all cores of its machine, or as trialCommand says" in check_threads(make(trainingService=REMOTE))
