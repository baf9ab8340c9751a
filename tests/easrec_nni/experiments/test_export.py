from __future__ import annotations

import json
import shutil
import socketserver
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.training_settings import RetrainSettings, TrainingSettings
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.experiments.experiment import Trial, best_trial
from easrec_nni.experiments.export import choose_trial, export_architecture
from easrec_nni.experiments.records import find_experiment, list_trials
from search_spaces.config import Choice, SpaceConfig

SPACE = SpaceConfig(n_items=20, hidden=16, inner=32, heads=2, max_length=5)
ID = "abcd1234"
TRAINING = TrainingSettings(mode="causal", history="newest", arch_share=0.3, retrain=RetrainSettings(epochs=7))

TABLES = """
create table TrialJobEvent (timestamp integer, trialJobId text, event text, data text, logPath text, sequenceId integer,
    message text, environmentId text);
create table MetricData (timestamp integer, trialJobId text, parameterId text, type text, sequence integer, data text);
create table ExperimentProfile (params text, revision integer);
"""


def record(folder: Path, trials: list[tuple[str, str, float, float | None]]) -> None:
    """Write the files of a stopped experiment with trials (id, last status, lambda, final result)."""
    (folder / "db").mkdir(parents=True)
    with sqlite3.connect(folder / "db" / "nni.sqlite") as database:
        database.executescript(TABLES)
        for number, (trial, status, lambda_, score) in enumerate(trials):
            sampled = json.dumps({"parameter_id": number, "parameters": {"lambda": lambda_}})
            rows = [(1000 * number + 1, trial, "RUNNING", sampled, "", number, "", "local-env")]
            if status != "RUNNING":
                rows.append((1000 * number + 9, trial, status, "", "", number, "", "local-env"))
            database.executemany("insert into TrialJobEvent values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            metrics = [("PERIODICAL", 1, {"default": 0.2}), ("PERIODICAL", 0, {"default": 0.1})]  # not in order
            if score is not None:
                metrics.append(("FINAL", 0, {"default": score, "madds_per_user": 1e6}))
            for kind, sequence, value in metrics:
                text = json.dumps(json.dumps(value))  # JSON within JSON, as NNI keeps it
                database.execute(
                    "insert into MetricData values (?, ?, ?, ?, ?, ?)",
                    (number, trial, str(number), kind, sequence, text),
                )
            output = folder / "environments" / "local-env" / "trials" / trial
            output.mkdir(parents=True)
            if status == "FAILED":
                (output / "trial.stderr").write_text("Traceback\nRuntimeError: there is no dataset ml-100k\n\n")
            if score is not None:
                depth = number + 1
                choice = Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=depth)
                Architecture(choices=choice, space=SPACE, lambda_=lambda_, training=TRAINING).write(
                    output / "architecture.json"
                )
                (output / "supernet.safetensors").write_bytes(b"weights")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Factory of a recorded experiment, in a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def make(*trials: tuple[str, str, float, float | None]) -> Path:
        home = tmp_path / "home" / "nni-experiments"
        home.mkdir(parents=True)
        entry = {"id": ID, "port": 1, "status": "STOPPED", "logDir": str(tmp_path / "runs"), "experimentName": "tiny"}
        (home / ".experiment").write_text(json.dumps({ID: entry}))
        record(tmp_path / "runs" / ID, list(trials))
        return tmp_path / "runs" / ID

    return make


THREE = (
    ("first", "SUCCEEDED", 0.0, 0.5),
    ("better", "SUCCEEDED", 0.1, 0.6),
    ("broken", "FAILED", 1.0, None),
    ("stopped", "RUNNING", 2.0, None),
)


def test_trials_of_a_stopped_experiment_are_read_from_its_records(recorded: Callable[..., Path]) -> None:
    folder = recorded(*THREE)
    experiment = find_experiment(ID)
    assert (experiment.name, experiment.folder, experiment.running) == ("tiny", folder, False)
    trials = list_trials(experiment)
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert [trial.parameters["lambda"] for trial in trials] == [0.0, 0.1, 1.0, 2.0]
    assert [trial.status for trial in trials] == ["SUCCEEDED", "SUCCEEDED", "FAILED", "STOPPED"]
    assert [trial.score for trial in trials] == [0.5, 0.6, None, None]
    assert trials[0].intermediate == ({"default": 0.1}, {"default": 0.2})
    assert trials[0].final == {"default": 0.5, "madds_per_user": 1e6}
    assert trials[0].folder == folder / "environments" / "local-env" / "trials" / "first"
    assert trials[2].last_error() == "RuntimeError: there is no dataset ml-100k"
    assert all(trial.is_over for trial in trials)


def test_a_trial_has_the_parameters_under_which_it_reported(recorded: Callable[..., Path]) -> None:
    folder = recorded(*THREE)
    with sqlite3.connect(folder / "db" / "nni.sqlite") as database:  # NNI gave each of the two the other's parameters
        database.execute("update MetricData set parameterId = '1' where trialJobId = 'first'")
        database.execute("update MetricData set parameterId = '0' where trialJobId = 'better'")
    trials = list_trials(find_experiment(ID))
    assert [trial.parameters["lambda"] for trial in trials] == [0.1, 0.0, 1.0, 2.0]


def trial(number: int, score: object) -> Trial:
    return Trial(f"t{number}", number, "SUCCEEDED", {}, Path(), final=None if score is None else {"default": score})


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.3, 0.2], 1),
        ([0.3, 0.3], 0),
        ([float("nan"), 0.1], 1),
        ([10**400, 0.1], 1),
        ([None, None], None),
        ([], None),
        (["a", 0], 1),
    ],
)
def test_the_best_trial_has_the_largest_finite_result(scores: list[object], best: int | None) -> None:
    winner = best_trial([trial(number, score) for number, score in enumerate(scores)])
    assert (winner.number if winner else None) == best


@pytest.mark.parametrize(
    ("options", "depth"), [([], 2), (["--best"], 2), (["--trial", "first"], 1), (["--trial", "1"], 2)]
)
def test_export_writes_the_architecture(
    recorded: Callable[..., Path], tmp_path: Path, options: list[str], depth: int
) -> None:
    recorded(*THREE)
    out = tmp_path / "out" / "mine.json"
    result = CliRunner().invoke(app, ["export", "--experiment", ID, "--out", str(out), *options])
    assert result.exit_code == 0, result.output
    assert Architecture.read(out).choices.depth == depth and Architecture.read(out).training == TRAINING
    assert [file.name for file in out.parent.iterdir()] == ["mine.json"]


def test_weights_are_copied_beside_the_file(recorded: Callable[..., Path], tmp_path: Path) -> None:
    recorded(*THREE)
    exported = export_architecture(ID, tmp_path / "out" / "mine.json", weights=True)
    assert exported.weights == tmp_path / "out" / "supernet.safetensors"
    assert exported.weights.read_bytes() == b"weights"


def move_away(folder: Path, trial: str, **final: object) -> None:
    """Turn a trial into one of another machine: no folder here, all information in its final result."""
    shutil.rmtree(folder / "environments" / "local-env" / "trials" / trial)
    with closing(sqlite3.connect(folder / "db" / "nni.sqlite")) as database, database:
        text = json.dumps(json.dumps({"default": 0.6, **final}))
        database.execute("update MetricData set data = ? where trialJobId = ? and type = 'FINAL'", (text, trial))


def test_a_trial_of_another_machine_is_rebuilt_from_the_records(recorded: Callable[..., Path], tmp_path: Path) -> None:
    choice = Choice(hidden_pruning=0.0, inner_pruning=0.5, depth=3)
    figures = {"search_valid_ndcg@10_full": 0.25}
    architecture = Architecture(choices=choice, space=SPACE, metrics=figures, training=TRAINING, **{"lambda": 0.1})
    folder = recorded(*THREE)
    move_away(folder, "better", architecture=architecture.to_json(indent=None), files_at="gpu7:/tmp/trials/better")
    result = CliRunner().invoke(app, ["export", "--experiment", ID, "--out", str(tmp_path / "out.json")])
    assert result.exit_code == 0, result.output
    assert "trial 1 (better), validation NDCG@10 0.6000" in result.output
    assert "rebuilt from NNI's records" in result.output and "are in gpu7:/tmp/trials/better" in result.output
    assert (tmp_path / "out.json").read_text() == architecture.to_json()
    with pytest.raises(UserError, match=r"stay on the machine that ran it: scp gpu7:/tmp/trials/better/supernet"):
        export_architecture(ID, tmp_path / "other.json", weights=True)
    assert not (tmp_path / "other.json").exists()
    shown = CliRunner().invoke(app, ["show", ID])
    assert shown.exit_code == 0 and "depth 3 of 4" in shown.output and "trial 1 (better)" in shown.output


def test_files_that_are_here_are_preferred(recorded: Callable[..., Path], tmp_path: Path) -> None:
    recorded(*THREE)
    exported = export_architecture(ID, tmp_path / "out.json")
    assert not exported.rebuilt and exported.architecture.choices.depth == 2


def test_a_result_of_an_earlier_version_says_why_it_cannot_be_rebuilt(
    recorded: Callable[..., Path], tmp_path: Path
) -> None:
    move_away(recorded(*THREE), "better")
    with pytest.raises(UserError, match="not on this machine .*its final result holds no architecture"):
        export_architecture(ID, tmp_path / "out.json")


def test_one_of_several_experiments_is_taken(recorded: Callable[..., Path], tmp_path: Path) -> None:
    recorded(*THREE)
    entries = json.loads((tmp_path / "home" / "nni-experiments" / ".experiment").read_text())
    record(tmp_path / "runs" / "wxyz5678", [("other", "SUCCEEDED", 0.3, 0.4)])
    entries["wxyz5678"] = entries[ID] | {"id": "wxyz5678"}
    (tmp_path / "home" / "nni-experiments" / ".experiment").write_text(json.dumps(entries))
    assert export_architecture("wxyz5678", tmp_path / "a.json").trial.id == "other"
    assert export_architecture(ID, tmp_path / "b.json").trial.id == "better"


def test_results_imported_into_an_experiment_are_no_trials(recorded: Callable[..., Path]) -> None:
    folder = recorded(*THREE)
    with closing(sqlite3.connect(folder / "db" / "nni.sqlite")) as database, database:
        database.execute("insert into TrialJobEvent values (1, '', 'IMPORT_DATA', '[]', '', null, '', '')")
    assert len(list_trials(find_experiment(ID))) == 4


def test_a_port_that_another_program_has_is_no_manager(recorded: Callable[..., Path], tmp_path: Path) -> None:
    recorded(*THREE)

    class NoHttp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(100)
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), NoHttp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        entry = {"id": ID, "port": server.server_address[1], "status": "RUNNING", "logDir": str(tmp_path / "runs")}
        (tmp_path / "home" / "nni-experiments" / ".experiment").write_text(json.dumps({ID: entry}))
        experiment = find_experiment(ID)
        assert not experiment.running
        assert len(list_trials(replace(experiment, running=True))) == 4  # it ended between two questions
        server.shutdown()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--experiment", "abcd1243"], ["no experiment 'abcd1243'", "did you mean 'abcd1234'"]),
        (["--experiment", "../../etc"], ["no experiment"]),
        (["--experiment", ID, "--trial", "zzz"], ["no trial 'zzz'", "0 first SUCCEEDED"]),
        (["--experiment", ID, "--trial", "broken"], ["no architecture.json", "there is no dataset ml-100k"]),
        (["--experiment", ID, "--trial", "first", "--best"], ["--trial, --best"]),
    ],
)
def test_mistakes_end_in_one_line(
    recorded: Callable[..., Path], tmp_path: Path, options: list[str], words: list[str]
) -> None:
    recorded(*THREE)
    out = tmp_path / "out.json"
    result = CliRunner().invoke(app, ["export", *options, "--out", str(out)])
    assert result.exit_code == 2
    for word in words:
        assert word in result.output
    assert not out.exists()


def test_an_experiment_without_results_says_why(recorded: Callable[..., Path], tmp_path: Path) -> None:
    recorded(THREE[2])
    with pytest.raises(UserError, match="no trial has a final result yet: 0 broken FAILED; .*no dataset ml-100k"):
        export_architecture(ID, tmp_path / "out.json")


def test_missing_weights_and_folders(recorded: Callable[..., Path], tmp_path: Path) -> None:
    folder = recorded(*THREE)
    output = folder / "environments" / "local-env" / "trials" / "better"
    (output / "supernet.safetensors").unlink()
    with pytest.raises(UserError, match=r"no supernet.safetensors"):
        export_architecture(ID, tmp_path / "out.json", weights=True)
    for file in output.iterdir():
        file.unlink()
    output.rmdir()
    with pytest.raises(UserError, match="not on this machine"):
        export_architecture(ID, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_a_damaged_architecture_is_not_exported(recorded: Callable[..., Path], tmp_path: Path) -> None:
    folder = recorded(*THREE)
    (folder / "environments" / "local-env" / "trials" / "better" / "architecture.json").write_text('{"choices": ')
    with pytest.raises(UserError, match="not valid JSON"):
        export_architecture(ID, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("damage", ["records", "folder", "list"])
def test_damaged_records(recorded: Callable[..., Path], tmp_path: Path, damage: str) -> None:
    folder = recorded(*THREE)
    if damage == "records":
        (folder / "db" / "nni.sqlite").write_bytes(b"no database at all, and long enough to be looked at" * 100)
        words = "cannot read NNI's records"
    elif damage == "folder":
        folder.rename(tmp_path / "elsewhere")
        words = "are gone"
    else:
        (tmp_path / "home" / "nni-experiments" / ".experiment").write_text("{")
        words = "NNI has no experiment"
    with pytest.raises(UserError, match=words):
        export_architecture(ID, tmp_path / "out.json")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (0.0, 0),  # no tolerance: the best one
        (0.011, 1),  # 0.29 is within 0.011 of 0.30 and costs less; 0.28 costs less still, but is not
        (0.021, 2),
        (1.0, 2),  # the fourth has no result and the fifth no cost: neither can be chosen
    ],
)
def test_the_smallest_trial_that_is_as_good(tmp_path: Path, error: float, expected: int) -> None:
    finals: list[dict[str, float] | None] = [
        {"default": 0.30, "default_standard_error": error, "madds_per_user": 9e6},
        {"default": 0.29, "default_standard_error": 0.5, "madds_per_user": 6e6},
        {"default": 0.28, "default_standard_error": 0.5, "madds_per_user": 3e6},
        None,
        {"default": 0.29},
    ]
    trials = [
        Trial(f"t{number}", number, "SUCCEEDED" if final else "FAILED", {}, tmp_path, (), final)
        for number, final in enumerate(finals)
    ]
    assert choose_trial(trials, smallest=True).number == expected
    assert choose_trial(trials).number == 0


def judged(number: int, verdict: float | None, madds: float, **figures: float) -> Trial:
    """A trial with the verdict of the validation users: 1 kept, 0 lost, 0.5 cannot tell, None not judged."""
    final: dict[str, float] = {"default": 0.3, "default_standard_error": 1.0, "madds_per_user": madds, **figures}
    if verdict is not None:
        final |= {"valid_selection_kept_accuracy": verdict, "valid_selection_margin": 0.02}
    return Trial(f"t{number}", number, "SUCCEEDED", {}, Path(), (), final)


def test_the_smallest_trial_is_the_cheapest_that_keeps_the_accuracy() -> None:
    lost, unsure, small, large = judged(0, 0.0, 1e6), judged(1, 0.5, 2e6), judged(2, 1.0, 3e6), judged(3, 1.0, 4e6)
    assert choose_trial([lost, unsure, small, large], smallest=True) is small
    assert choose_trial([lost, unsure, large], smallest=True) is large
    # The test verdict decides nothing.
    assert choose_trial([judged(0, 0.0, 1e6, test_kept_accuracy=1.0), small], smallest=True) is small
    # Trials of before the setting was switched on are not candidates, unless all are.
    assert choose_trial([judged(4, None, 1e5), small], smallest=True) is small
    assert choose_trial([judged(4, None, 1e5), judged(5, None, 2e5)], smallest=True).number == 4
    within, above = judged(1, 1.0, 2e6, feasible=1, default=0.4), judged(0, 1.0, 1e6, feasible=0)
    assert choose_trial([above, within], smallest=True) is within


def test_no_trial_that_keeps_the_accuracy_is_said_with_what_to_do() -> None:
    trials = [judged(0, 0.0, 1e6), judged(1, 0.5, 2e6, valid_selection_users_needed=41_000)]
    with pytest.raises(UserError, match=r"within 2\.0%: 1 of 2 lose more, of 1 .* cannot tell \(about 41,000 .*--best"):
        choose_trial(trials, smallest=True)
    assert choose_trial(trials).number == 0


def test_a_number_that_two_trials_have_names_none(tmp_path: Path) -> None:
    """NNI may restart the numbers when it resumes an experiment."""
    trials = [Trial(name, number, "SUCCEEDED", {}, tmp_path) for name, number in (("a", 0), ("b", 1), ("c", 1))]
    with pytest.raises(UserError, match="2 trials have the number 1; give the id of one: 1 b SUCCEEDED, 1 c SUCCEEDED"):
        choose_trial(trials, "1")
    assert choose_trial(trials, "c").id == "c" and choose_trial(trials, "0").id == "a"


KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("pragma cache_size = 1")
database.execute("begin")
for number in range(2000):
    database.execute("insert into TrialJobEvent values (9, 't0', 'FAILED', ?, '', 0, '', '')", ("x" * 1000,))
os.kill(os.getpid(), 9)
"""


def test_records_that_a_killed_manager_was_writing(recorded: Callable[..., Path], tmp_path: Path) -> None:
    folder = recorded(("t0", "SUCCEEDED", 0.1, 0.5))
    before = list_trials(find_experiment(ID))
    database = folder / "db" / "nni.sqlite"
    assert subprocess.run([sys.executable, "-c", KILLED, str(database)]).returncode == -9
    left = database.with_name("nni.sqlite-journal")
    assert left.stat().st_size > 0
    state = database.read_bytes(), left.read_bytes()
    assert list_trials(find_experiment(ID)) == before  # what was half-written is not read
    assert (database.read_bytes(), left.read_bytes()) == state  # and NNI's own recovery has what it needs
