"""Search and retraining runs: killed, resumed, repeated, refused."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig, TrialSettings, evaluate, prepare, retrain, search
from easrec_nni.architecture.weights import load_network, read_weights
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import dataset, load_dataset, pipeline
from easrec_nni.evaluation.figures import PROTOCOLS
from easrec_nni.evaluation.scoring import evaluate_fully
from easrec_nni.trial.run import run_trial

SPACE: dict[str, Any] = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]}
SPACE |= {"supernet": "shared"}
# tau, dropout and Gumbel noise all change from step to step: a resumed run that lost one of them would end elsewhere.
SEARCH = {"epochs": 6, "batch_size": 8, "arch_learning_rate": 0.1, "temperature": {"decay": 0.01}, "lambda": 0.5}


def settings_for(dataset: Dataset, **changes: object) -> TrialSettings:
    document = {"data": str(dataset.path), "space": SPACE, "search": SEARCH, "retrain": {"epochs": 3, "batch_size": 8}}
    return TrialSettings.parse({**document, **changes}, "test")


KILLED = """
import os, signal, sys
from easrec_nni import TrialSettings, load_dataset
from easrec_nni.{module} import {function}
from easrec_nni.training.threads import use_threads
use_threads(1)
settings = TrialSettings.model_validate_json(sys.argv[1])
def kill(row):
    if row["epoch"] == {epoch}:
        os.kill(os.getpid(), signal.SIGKILL)  # in the middle of an epoch's end, before it is saved
{call}
"""


def run_killed(module: str, function: str, call: str, epoch: int, settings: TrialSettings, *words: str) -> None:
    script = KILLED.format(module=module, function=function, call=call, epoch=epoch)
    command = [sys.executable, "-c", script, settings.model_dump_json(by_alias=True), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("killed_in", "loss"), [(0, "softmax"), (3, "softmax"), (3, "sampled_softmax")])
def test_a_killed_search_ends_as_an_unbroken_one(
    tiny_dataset: Dataset, tmp_path: Path, killed_in: int, loss: str
) -> None:
    settings = settings_for(tiny_dataset, loss=loss, negatives=6)
    unbroken = search(tiny_dataset, settings, tmp_path / "unbroken")
    call = "search(load_dataset(settings.data), settings, sys.argv[2], on_epoch=kill)"
    run_killed("searching.stage", "search", call, killed_in, settings, str(tmp_path / "broken"))
    assert not (tmp_path / "broken" / "architecture.json").exists()
    assert (tmp_path / "broken" / "state" / "last.ckpt").exists() == (killed_in > 0)
    resumed = search(tiny_dataset, settings, tmp_path / "broken")
    assert resumed.architecture == unbroken.architecture
    expected, actual = read_weights(unbroken.supernet), read_weights(resumed.supernet)
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=0, atol=0)
    assert len(resumed.history) == len(unbroken.history) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_in", "loss", "inherits"), [(2, "softmax", False), (2, "gbce", True), (-1, "gbce", True)]
)
def test_a_killed_retraining_ends_as_an_unbroken_one(
    tiny_dataset: Dataset, tmp_path: Path, killed_in: int, loss: str, inherits: bool
) -> None:
    """Killed halfway, and during the validation before training."""
    changes: dict[str, Any] = {"loss": loss, "negatives": 6, "search": {**SEARCH, "epochs": 1}}
    settings = settings_for(tiny_dataset, retrain={"epochs": 4, "batch_size": 8}, **changes)
    weights, words = None, [str(tmp_path / "broken"), str(tmp_path / "architecture.json")]
    architecture = Architecture(
        choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2),
        space=settings.space_for(tiny_dataset),
    )
    if inherits:
        searched = search(tiny_dataset, settings, tmp_path / "searched")
        architecture, weights = searched.architecture, searched.supernet
        words.append(str(weights))
    architecture.write(tmp_path / "architecture.json")
    unbroken = retrain(architecture, tiny_dataset, tmp_path / "unbroken", weights=weights, settings=settings)
    call = "retrain(sys.argv[3], load_dataset(settings.data), sys.argv[2], settings=settings, on_epoch=kill"
    call += ", weights=sys.argv[4])" if inherits else ")"
    run_killed("retraining.stage", "retrain", call, killed_in, settings, *words)
    assert (tmp_path / "broken" / "state" / "last.ckpt").exists() == (killed_in > 0)
    resumed = retrain(architecture, tiny_dataset, tmp_path / "broken", weights=weights, settings=settings)
    assert resumed.metrics["test"] == unbroken.metrics["test"]
    for key in ("epochs", "best_epoch", "kept", "selected_by"):
        assert resumed.metrics["training"][key] == unbroken.metrics["training"][key]
    assert resumed.metrics["training"]["epochs"] == 4
    for name, weight in unbroken.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], weight, rtol=0, atol=0)
    before, after = ((run.folder / "history.csv").read_text().splitlines() for run in (unbroken, resumed))
    place = before[0].split(",").index("seconds")
    expected, found_rows = ([row.split(",") for row in rows] for rows in (before, after))
    assert len(expected) == 1 + 1 + 4
    for one, other in zip(expected, found_rows, strict=True):
        assert one[:place] + one[place + 1 :] == other[:place] + other[place + 1 :]


def test_a_second_run_takes_the_first_and_another_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, search={**SEARCH, "epochs": 1})
    first = search(tiny_dataset, settings, tmp_path)
    stamp = first.supernet.stat().st_mtime_ns
    assert search(tiny_dataset, settings, tmp_path).architecture == first.architecture
    assert first.supernet.stat().st_mtime_ns == stamp
    other = settings_for(tiny_dataset, search={**SEARCH, "epochs": 1, "lambda": 0.7})
    with pytest.raises(UserError, match=r"other settings \(search differ\).*--restart"):
        search(tiny_dataset, other, tmp_path)
    search(tiny_dataset, other, tmp_path, restart=True)
    assert first.supernet.stat().st_mtime_ns != stamp


def test_a_trial_writes_all_its_files_and_evaluation_repeats_its_figures(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, search={**SEARCH, "epochs": 2})
    result = run_trial(settings, tmp_path)
    for name in ("architecture.json", "supernet.safetensors"):
        assert (tmp_path / name).is_file(), name
    for name in ("architecture.json", "weights.safetensors", "metrics.json", "history.csv"):
        assert (tmp_path / "retrained" / name).is_file(), name
    metrics = json.loads((tmp_path / "retrained" / "metrics.json").read_text())
    architecture = Architecture.read(tmp_path / "retrained" / "architecture.json")
    network = load_network(architecture, tmp_path / "retrained" / "weights.safetensors")
    for part in ("test", "valid"):
        assert evaluate_fully(network, tiny_dataset, part, 10, PROTOCOLS)[0] == metrics[part]
    report = result.report
    assert report["default"] == metrics["valid_selection_users"]["ndcg@10_full"]
    for key in (
        "test_ndcg@10_full",
        "valid_recall@10_pop100",
        "valid_mrr@10_pop100_recbole",
        "madds_per_user",
        "parameters",
        "inference_ms_per_user",
    ):
        assert report[key] >= 0
    assert {key: report[key] for key in ("hidden_pruning", "inner_pruning", "depth")} == metrics["choices"]
    assert report["lambda"] == 0.5


def test_the_command_evaluate_prints_the_same_figures(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset)
    architecture = Architecture(
        choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1),
        space=settings.space_for(tiny_dataset),
    )
    metrics = retrain(architecture, tiny_dataset, tmp_path / "run", settings=settings).metrics
    command = [sys.executable, "-m", "easrec_nni.cli.main", "evaluate", str(tmp_path / "run")]
    command += ["--data", str(tiny_dataset.path), "--threads", "1", "--out", str(tmp_path / "figures.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    about = {"dataset": tiny_dataset.name, "split": "leave-one-out", "part": "test", "users": 40, "targets": 40}
    assert json.loads((tmp_path / "figures.json").read_text()) == metrics["test"] | about
    heading, *lines = done.stdout.splitlines()
    assert heading == "test, split leave-one-out: 40 targets of 40 users"
    assert lines == [f"{name}: {value!r}" for name, value in metrics["test"].items()]


def test_inherited_weights_are_the_supernets(tiny_dataset: Dataset, tmp_path: Path) -> None:
    searched = search(tiny_dataset, settings_for(tiny_dataset, search={**SEARCH, "epochs": 1}), tmp_path)
    network = load_network(searched.architecture, searched.supernet)
    width = network.config.hidden
    table = read_weights(searched.supernet)["embedding.items.weight"]
    torch.testing.assert_close(network.embedding.items.weight, table[:, :width])
    other = searched.architecture.model_copy(
        update={"space": searched.architecture.space.model_copy(update={"inner": 32})}
    )
    with pytest.raises(UserError, match="does not fit the architecture"):
        load_network(other, searched.supernet)


@pytest.mark.parametrize("mode", ["causal", "augmented"])
@pytest.mark.slow
def test_both_modes_learn_on_movielens(ml100k: Dataset, tmp_path: Path, mode: str) -> None:
    """A one-layer network must clearly beat popularity after a few epochs."""
    from easrec_nni.study.systems.popularity import Popularity

    epochs, batch_size = {"causal": (12, 16), "augmented": (1, 256)}[mode]
    direction = {"causal": "causal", "augmented": "bidirectional"}[mode]
    space = {"max_length": 20, "hidden": 32, "inner": 64, "heads": 2, "layers": 1, "direction": direction}
    training = {"epochs": epochs, "batch_size": batch_size, "learning_rate": 0.005}
    history = {"causal": "newest", "augmented": "all"}[mode]
    document = {"data": "ml-100k", "space": space, "mode": mode, "history": history, "retrain": training}
    settings = TrialSettings.parse(document, "test")
    choice = Choice(hidden_pruning=0, inner_pruning=0, depth=1)
    architecture = Architecture(choices=choice, space=settings.space_for(ml100k))
    metrics = retrain(architecture, ml100k, tmp_path, settings=settings).metrics
    floor = evaluate(Popularity(ml100k), ml100k, "valid")
    assert metrics["valid"]["ndcg@10_full"] > 1.5 * floor["ndcg@10_full"], (metrics["valid"], floor)
    assert metrics["valid"]["ndcg@10_pop100"] > 1.5 * floor["ndcg@10_pop100"]


def test_causal_mode_refuses_a_bidirectional_network(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset)
    space = settings.space_for(tiny_dataset).model_copy(update={"direction": "bidirectional"})
    architecture = Architecture(choices=space.largest, space=space)
    with pytest.raises(UserError, match="augmented"):
        retrain(architecture, tiny_dataset, tmp_path, settings=settings)


def test_a_wrong_catalogue_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    space = settings_for(tiny_dataset).space_for(tiny_dataset).model_copy(update={"n_items": tiny_dataset.n_items + 1})
    with pytest.raises(UserError, match="items"):
        retrain(Architecture(choices=space.largest, space=space), tiny_dataset, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_space_without_choices_is_not_searched(tiny_dataset: Dataset, tmp_path: Path) -> None:
    space = {**SPACE, "hidden_pruning": [0], "inner_pruning": [0], "min_depth": 2}
    with pytest.raises(UserError, match="one architecture"):
        search(tiny_dataset, settings_for(tiny_dataset, space=space), tmp_path)


def test_retrain_is_a_function_to_import_and_a_program_to_run() -> None:
    with pytest.raises(ImportError, match="is a program"):
        importlib.import_module("easrec_nni.retrain")
    assert callable(importlib.import_module("easrec_nni").retrain)
    command = [sys.executable, "-m", "easrec_nni.retrain", "--arch", "none.json", "--data", "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "--scratch" in done.stderr and "Traceback" not in done.stderr


LOGS = {  # user, item
    "sessions of three": ([(user, (user + n) % 5) for user in range(8) for n in range(3)], "no user has two"),
    "one user": ([(0, n % 5) for n in range(12)], "one user alone"),
    "one item": ([(user, 0) for user in range(4) for _ in range(6)], "one item alone"),
}


@pytest.fixture(params=LOGS, ids=[name.replace(" ", "-") for name in LOGS])
def earlier(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Dataset, str, Path]:
    """Dataset prepared without the check, its error message, and its log."""
    rows, message = LOGS[request.param]
    log = tmp_path / "log.csv"
    log.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for time, (user, item) in enumerate(rows)))
    with monkeypatch.context() as patch:
        for module in (pipeline, dataset):
            patch.setattr(module, "check_trainable", lambda *args: None)
        prepare(log, tmp_path / "prepared")
    return load_dataset(tmp_path / "prepared"), message, log


def test_search_and_retraining_refuse_in_one_line(earlier: tuple[Dataset, str, Path], tmp_path: Path) -> None:
    data, message, log = earlier
    settings = TrialSettings(data=str(data.path), space=SPACE)
    with pytest.raises(UserError, match=f"the dataset log: .*{message}"):
        search(data, settings, tmp_path / "searched")
    choice = Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1)
    architecture = Architecture(choices=choice, space=SpaceConfig(n_items=data.n_items, **SPACE))
    with pytest.raises(UserError, match=message):
        retrain(architecture, data, tmp_path / "retrained", weights=tmp_path / "missing.safetensors")
    with pytest.raises(UserError, match=message):
        prepare(log, tmp_path / "prepared")  # which would be taken as it is
    assert not (tmp_path / "searched").exists() and not (tmp_path / "retrained").exists()


def test_the_commands_end_with_exit_code_2(earlier: tuple[Dataset, str, Path], tmp_path: Path) -> None:
    data, message, _ = earlier
    file = tmp_path / "settings.yml"
    file.write_text(f"data: {data.path}\nspace: {{max_length: 6, hidden: 8, inner: 16, heads: 2, layers: 2}}\n")
    architecture = tmp_path / "architecture.json"
    choice = Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1)
    Architecture(choices=choice, space=SpaceConfig(n_items=data.n_items, **SPACE)).write(architecture)
    for words in (
        ["search", str(file), "--out", str(tmp_path / "searched")],
        ["retrain", "--arch", str(architecture), "--data", str(data.path), "--scratch", "--out", str(tmp_path / "r")],
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2
        assert message in done.output and "Traceback" not in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", "prepared", "settings.yml", "architecture.json"}
