"""Retraining: settings from the architecture, selection users, run folder, initial network."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from easrec_nni import Architecture, Choice, Dataset, TrialSettings, retrain, search
from easrec_nni.architecture.training_settings import RetrainSettings
from easrec_nni.architecture.weights import load_network, read_weights
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import prepare
from easrec_nni.evaluation.scoring import rank_users
from easrec_nni.searching.stage import SearchResult
from easrec_nni.training import context
from easrec_nni.training.history import read_history
from easrec_nni.training.recorded import recorded_training, with_recorded
from easrec_nni.training.threads import use_threads
from easrec_nni.trial.run import run_trial

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]}
TRAINING = {"loss": "gbce", "negatives": 6, "gbce_t": 0.5, "history": "newest", "seed": 3}
RETRAIN = {"epochs": 2, "patience": 2, "batch_size": 7, "learning_rate": 0.002}


def settings_for(dataset: Dataset, arch_share: float = 0.8, **changes: Any) -> TrialSettings:
    searching = {"epochs": 1, "batch_size": 8, "arch_learning_rate": 0.1, "arch_share": arch_share}
    document = {"data": str(dataset.path), "space": SPACE, "search": searching, "retrain": RETRAIN}
    return TrialSettings.parse({**document, **TRAINING, **changes}, "test")


def by_hand(dataset: Dataset) -> Architecture:
    space = settings_for(dataset).space_for(dataset)
    return Architecture(choices=Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=2), space=space)


@pytest.fixture(scope="module")
def searched(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchResult, set[int]]:
    """A search with a share of .8, and the rows of the users who trained alpha and beta."""
    trained: set[int] = set()
    original = context.ArchitectureBatches

    class Watched(original):  # type: ignore[misc, valid-type]
        def __iter__(self) -> Any:
            for batch in super().__iter__():
                trained.update(int(row) for row in self.rows)
                yield batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "ArchitectureBatches", Watched)
        result = search(tiny_dataset, settings_for(tiny_dataset), tmp_path_factory.mktemp("searched"))
    return result, trained


def ndcg_of(network: Any, dataset: Dataset, users: set[int]) -> float:
    """NDCG@10 over the validation targets of these rows, by a plain loop."""
    ranks = rank_users(network, dataset, "valid", protocols=["full"])["full"]
    return sum(1 / math.log2(1 + ranks[row]) if ranks[row] <= 10 else 0.0 for row in sorted(users)) / len(users)


# The settings of the training


def test_users_who_trained_alpha_are_not_among_the_selection_users(
    tiny_dataset: Dataset, searched: tuple[SearchResult, set[int]], tmp_path: Path
) -> None:
    """As in the README: the architecture and its weights, and not a word on how it was searched."""
    result, trained = searched
    everyone = set(range(len(tiny_dataset.split.test.users)))
    assert len(trained) == 32 and len(everyone) == 40
    file = result.supernet.with_name("architecture.json")
    done = retrain(
        file, tiny_dataset, tmp_path, weights=result.supernet, settings=TrialSettings(data=str(tiny_dataset.path))
    )
    known = done.metrics["settings"]
    assert {key: known[key] for key in TRAINING} == TRAINING
    assert known["retrain"] == {**RetrainSettings().model_dump(), **RETRAIN, "weights": "inherit"}
    expected = ndcg_of(done.network, tiny_dataset, everyone - trained)
    assert done.metrics["valid_selection_users"]["ndcg@10_full"] == pytest.approx(expected, abs=1e-12)
    with_others = ndcg_of(done.network, tiny_dataset, everyone)
    assert done.metrics["valid"]["ndcg@10_full"] == pytest.approx(with_others, abs=1e-12)
    assert with_others != pytest.approx(expected, abs=1e-4), "the two figures can be told apart"


@pytest.mark.parametrize(("share", "is_refused"), [(0.2, True), (0.5, True), (0.7, True), (0.8, False), (0.9, False)])
def test_a_share_is_refused_if_a_user_who_trained_alpha_would_be_reported_as_one_who_did_not(
    tiny_dataset: Dataset, searched: tuple[SearchResult, set[int]], tmp_path: Path, share: float, is_refused: bool
) -> None:
    result, trained = searched
    order = np.random.default_rng(0).permutation(40)
    both = trained & {int(row) for row in order[math.floor(40 * share + 0.5) :]}
    settings = TrialSettings(data="x", search={"arch_share": share}, retrain={"epochs": 1})
    if not is_refused:
        assert not both
        retrain(result.architecture, tiny_dataset, tmp_path / "out", settings=settings)
        record = Architecture.read(tmp_path / "out" / "architecture.json").training
        assert record is not None and record.arch_share == 0.8, "what trained alpha and beta stays known"
        return
    with pytest.raises(UserError, match=rf": {len(both)} of the \d+ users .* set it to 0.8 or more") as caught:
        retrain(result.architecture, tiny_dataset, tmp_path / "out", settings=settings)
    assert "\n" not in caught.value.message and not (tmp_path / "out").exists()
    # The unpruned network, and one that no alpha found, are no concern of those users.
    retrain(result.architecture.unpruned(), tiny_dataset, tmp_path / "unpruned", settings=settings)


def test_the_command_gives_what_the_trial_gave(tiny_dataset: Dataset, tmp_path: Path) -> None:
    use_threads(1)  # as the command below: sums over several threads round differently
    trial = run_trial(settings_for(tiny_dataset), tmp_path / "trial")
    words = ["retrain", "--arch", str(tmp_path / "trial" / "architecture.json"), "--data", str(tiny_dataset.path)]
    words += ["--weights", str(tmp_path / "trial" / "supernet.safetensors"), "--threads", "1"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "again")])
    assert done.exit_code == 0, done.output
    expected, result = (
        read_weights(folder / "weights.safetensors")
        for folder in (tmp_path / "trial" / "retrained", tmp_path / "again")
    )
    for name, weight in expected.items():
        torch.testing.assert_close(result[name], weight, rtol=0, atol=0)
    # And so does the retrained network's own file.
    of_trial, of_command = (
        Architecture.read(folder / "architecture.json").training
        for folder in (tmp_path / "trial" / "retrained", tmp_path / "again")
    )
    assert of_trial == of_command == Architecture.read(tmp_path / "trial" / "architecture.json").training
    # And what NNI keeps of the trial, from which `easrec export` rebuilds it.
    assert Architecture.parse(trial.report["architecture"]).training == of_trial


def training_line(arch: Path, dataset: Dataset, out: Path, caplog: pytest.LogCaptureFixture, *words: str) -> str:
    """Line on the training settings in the command's log."""
    caplog.clear()
    command = ["retrain", "--arch", str(arch), "--data", str(dataset.path), "--scratch", "--out", str(out), *words]
    with caplog.at_level(logging.INFO):
        done = CliRunner().invoke(app, [*command, "--threads", "1"])
    assert done.exit_code == 0, done.output
    lines = [record.getMessage() for record in caplog.records if "training settings" in record.getMessage()]
    assert len(lines) == 1 and "\n" not in lines[0]
    return lines[0]


def test_a_file_a_key_and_an_option_override_key_by_key_and_the_command_says_so(
    tiny_dataset: Dataset,
    searched: tuple[SearchResult, set[int]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    arch = searched[0].supernet.with_name("architecture.json")
    taken = (
        f"training settings from {arch}: mode causal, history newest, batch_by targets, loss gbce, negatives 6, "
        "gbce_t 0.5, select_by ndcg@10_full, arch_share 0.8, seed 3, retrain.learning_rate 0.002, "
        "retrain.epochs 2, retrain.patience 2, retrain.batch_size 7, retrain.averaging 0.998"
    )
    assert training_line(arch, tiny_dataset, tmp_path / "a", caplog) == taken
    file = tmp_path / "settings.yml"
    file.write_text("data: elsewhere\nhistory: all\nretrain: {batch_size: 9}\nseed: 3\n")
    line = training_line(
        arch, tiny_dataset, tmp_path / "b", caplog, "--settings", str(file), "--set", "gbce_t=0.1", "--epochs", "1"
    )
    assert line.endswith("; overridden: history=all, gbce_t=0.1, retrain.epochs=1, retrain.batch_size=9")
    used = json.loads((tmp_path / "b" / "metrics.json").read_text())["settings"]
    assert used["retrain"] == {
        **RetrainSettings().model_dump(),
        **RETRAIN,
        "epochs": 1,
        "batch_size": 9,
        "weights": "inherit",
    }
    assert {key: used[key] for key in TRAINING} == {**TRAINING, "history": "all", "gbce_t": 0.1}


def test_a_command_with_a_share_that_is_refused_leaves_nothing(
    tiny_dataset: Dataset, searched: tuple[SearchResult, set[int]], tmp_path: Path
) -> None:
    arch, out = searched[0].supernet.with_name("architecture.json"), tmp_path / "out"
    words = ["retrain", "--arch", str(arch), "--data", str(tiny_dataset.path), "--scratch", "--out", str(out)]
    done = CliRunner().invoke(app, [*words, "--set", "search.arch_share=0.5", "--threads", "1"])
    assert done.exit_code == 2 and "Traceback" not in done.output and not out.exists()
    assert "leave search.arch_share out, or set it to 0.8 or more" in " ".join(done.output.split())


def test_a_file_without_the_section_is_trained_by_the_defaults(
    tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Files written by hand, by an earlier version, or rebuilt from its records."""
    by_hand(tiny_dataset).write(tmp_path / "by-hand.json")
    assert "training" not in json.loads((tmp_path / "by-hand.json").read_text())
    line = training_line(
        tmp_path / "by-hand.json", tiny_dataset, tmp_path / "out", caplog, "--epochs", "1", "--seed", "4"
    )
    assert (
        "by-hand.json records none, so as given or by default: mode causal, history all, batch_by targets, loss "
        "softmax," in line
    )
    assert "seed 4, retrain.learning_rate 0.001, retrain.epochs 1, retrain.patience 10," in line
    record = Architecture.read(tmp_path / "out" / "architecture.json").training
    assert record is not None and record.seed == 4


def test_keys_that_exclude_each_other_are_one_line(tiny_dataset: Dataset) -> None:
    training = recorded_training(settings_for(tiny_dataset, history="overlapping"))
    architecture = by_hand(tiny_dataset).model_copy(update={"training": training})
    given = TrialSettings(data="x", mode="augmented")
    with pytest.raises(UserError, match="settings, with those that the architecture records: history: overlapping"):
        with_recorded(architecture, given)
    masked = recorded_training(settings_for(tiny_dataset, mode="masked", loss="softmax", masking={"share": 0.4}))
    taken = with_recorded(by_hand(tiny_dataset).model_copy(update={"training": masked}), TrialSettings(data="x"))
    assert (taken.mode, taken.masking.share) == ("masked", 0.4)


# The folder


def test_another_share_is_another_run(tiny_dataset: Dataset, tmp_path: Path) -> None:
    def run(share: float) -> dict[str, Any]:
        settings = settings_for(tiny_dataset, share)
        return retrain(by_hand(tiny_dataset), tiny_dataset, tmp_path / "out", settings=settings).metrics

    first = run(0.2)
    assert run(0.2) == first
    with pytest.raises(UserError, match=r"other settings \(arch_share differ\)"):
        run(0.9)
    with pytest.raises(UserError, match=r"other settings \(arch_share differ\)"):
        run(0.5)


def make_old(folder: Path) -> None:
    """Remove the keys of a run's identity that earlier versions lack."""
    note = folder / "state" / "request.json"
    request = json.loads(note.read_text())["request"]
    del request["selection"]
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    note.write_text(json.dumps({"sha256": digest, "request": request}))


def test_a_folder_of_an_earlier_version_is_opened_by_the_default_share(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, 0.5)
    first = retrain(by_hand(tiny_dataset), tiny_dataset, tmp_path, settings=settings)
    make_old(tmp_path)
    assert retrain(by_hand(tiny_dataset), tiny_dataset, tmp_path, settings=settings).metrics == first.metrics
    with pytest.raises(UserError, match=r"other settings \(arch_share differ\)"):
        retrain(by_hand(tiny_dataset), tiny_dataset, tmp_path, settings=settings_for(tiny_dataset, 0.6))


def test_a_run_of_an_earlier_version_resumes_with_its_selection_users(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Half of the users selected, and the network before the training had no row."""
    settings = settings_for(tiny_dataset, 0.5)

    def stop_in(epoch: int) -> None:
        def stop(row: dict[str, float]) -> None:
            if row["epoch"] == epoch:
                raise RuntimeError("stopped")

        with pytest.raises(RuntimeError, match="stopped"):
            retrain(by_hand(tiny_dataset), tiny_dataset, tmp_path, settings=settings, on_epoch=stop)

    stop_in(-1)
    make_old(tmp_path)  # before its first epoch was complete
    stop_in(1)
    assert (tmp_path / "state" / "last.ckpt").is_file()
    done = retrain(by_hand(tiny_dataset), tiny_dataset, tmp_path, settings=settings)
    rows = read_history(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == [0, 1] and "selection_users_ndcg@10_full" not in rows[0]
    assert done.metrics["training"]["selected_by"] == "users that trained no alpha or beta"
    best = max(row["ndcg@10_full"] for row in rows)
    assert done.metrics["valid_selection_users"]["ndcg@10_full"] == pytest.approx(best, abs=1e-12)


# The initial network


def test_every_user_selects_and_the_inherited_network_has_a_row(
    tiny_dataset: Dataset, searched: tuple[SearchResult, set[int]], tmp_path: Path
) -> None:
    result, trained = searched
    reported: list[dict[str, float]] = []
    done = retrain(result.architecture, tiny_dataset, tmp_path, weights=result.supernet, on_epoch=reported.append)
    rows = read_history(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == [-1, 0, 1] == [row["epoch"] for row in reported]
    assert math.isnan(rows[0]["train_loss"]) and all(math.isfinite(row["train_loss"]) for row in rows[1:])
    everyone = set(range(len(tiny_dataset.split.test.users)))
    inherited = load_network(result.architecture, result.supernet).eval()
    best = max(rows, key=lambda row: row["ndcg@10_full"])
    for row, network in ((rows[0], inherited), (best, done.network)):
        assert row["ndcg@10_full"] == pytest.approx(ndcg_of(network, tiny_dataset, everyone), abs=1e-12)
        compared = ndcg_of(network, tiny_dataset, everyone - trained)
        assert row["selection_users_ndcg@10_full"] == pytest.approx(compared, abs=1e-12)
    training = done.metrics["training"]
    assert (training["epochs"], training["best_epoch"]) == (2, best["epoch"])
    assert training["selected_by"] == "every user"
    assert training["seconds"] == pytest.approx(sum(row["seconds"] for row in rows))


@pytest.fixture(scope="module")
def cycles(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Users who all follow the same cycle of 15 items, which a network learns completely."""
    folder = tmp_path_factory.mktemp("cycles")
    rows = [f"{user},{(user + t) % 15},{t}" for user in range(45) for t in range(12)]
    (folder / "log.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    return prepare(folder / "log.csv", folder / "prepared")


def test_a_training_that_spoils_the_network_gives_it_back_unchanged(
    cycles: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learning = {"epochs": 8, "batch_size": 8, "learning_rate": 0.02, "arch_loss": "training"}
    result = search(cycles, settings_for(cycles, search=learning, loss="softmax"), tmp_path / "searched")
    settings = TrialSettings(data="x", retrain={"learning_rate": 30.0, "averaging": 0, "epochs": 3})
    with caplog.at_level(logging.INFO):
        done = retrain(result.architecture, cycles, tmp_path / "out", weights=result.supernet, settings=settings)
    scores = [row["ndcg@10_full"] for row in read_history(tmp_path / "out" / "history.csv")]
    assert scores[0] > 0.9 and max(scores[1:]) < 0.7
    training = done.metrics["training"]
    assert (training["best_epoch"], training["kept"], training["epochs"]) == (-1, "inherited", 3)
    assert "the network from inherited weights is kept unchanged" in caplog.text
    expected = load_network(result.architecture, result.supernet).state_dict()
    written = read_weights(tmp_path / "out" / "weights.safetensors")
    assert written.keys() == expected.keys()
    for name, weight in written.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0)
        torch.testing.assert_close(done.network.state_dict()[name], expected[name], rtol=0, atol=0)
