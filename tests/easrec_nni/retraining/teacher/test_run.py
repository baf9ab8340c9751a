"""Teachers in run folders against the same networks run along, batch by batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.run_folder import open_run
from easrec_nni.architecture.weights import load_network, read_weights, save_weights
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, prepare
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.data.download import file_digest
from easrec_nni.retraining.teacher.run import RunTeacher
from easrec_nni.retraining.teacher.store import StoredStates, open_store
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from easrec_nni.training.losses.soft_targets import StateTargets
from easrec_nni.training.recorded import describe_training, with_recorded
from easrec_nni.training.trainer import seed_everything
from search_spaces import EASRecNetwork
from tests.easrec_nni.retraining.teacher.conftest import RETRAIN, settings_for, train


def stored_states(teacher: RunTeacher, context: TrialContext, folder: Path) -> StoredStates:
    teacher.write(context, context.dataset, folder, progress=False)
    stored = open_store(folder, 1.0)
    assert isinstance(stored, StoredStates)
    return stored


@pytest.mark.parametrize("history", ["all", "newest", "overlapping"])
def test_stored_states_are_those_that_the_teacher_has_in_the_same_batches(
    history: str, teacher_run: Path, chains: Dataset, tmp_path: Path
) -> None:
    settings = settings_for(chains, {}, {}, history=history)
    context = TrialContext(settings, chains, settings.space_for(chains))
    stored = stored_states(RunTeacher(teacher_run), context, tmp_path)
    network, _ = open_run(teacher_run, chains)
    positions = 0
    for batch in TrainingBatches(chains, 6, 5, "causal", 1, history=history):
        real = batch.targets != 0
        assert batch.places is not None
        covered, soft = stored.at(batch.places[real])
        assert covered.all() and isinstance(soft, StateTargets)
        with torch.no_grad():
            expected = network.states(batch.ids)[real]
        torch.testing.assert_close(soft.states, expected, rtol=2**-10, atol=1e-6)
        positions += len(expected)
    assert positions > 100
    torch.testing.assert_close(soft.items, network.item_vectors())


@pytest.mark.parametrize(
    ("space", "fields"),
    [
        ({}, {"mode": "augmented"}),
        ({"direction": "bidirectional"}, {"mode": "augmented"}),
        ({"direction": "bidirectional", "objective": "masked"}, {"mode": "masked"}),
        ({"head": "core"}, {"mode": "augmented"}),
        ({"max_length": 3}, {"mode": "augmented"}),
    ],
    ids=["prefixes", "bidirectional", "masked", "core", "shorter window"],
)
def test_other_teachers_read_the_history_before_each_target(
    space: dict[str, Any], fields: dict[str, Any], chains: Dataset, tmp_path: Path
) -> None:
    train(chains, tmp_path / "teacher", space=space, epochs=1, **fields)
    settings = settings_for(chains, {}, {})
    context = TrialContext(settings, chains, settings.space_for(chains))
    stored = stored_states(RunTeacher(tmp_path / "teacher"), context, tmp_path)
    network, _ = open_run(tmp_path / "teacher", chains)
    for user in range(0, chains.n_users, 7):
        begin, end = (int(chains.offsets[user]), int(chains.split.training_end()[user]))
        for place in range(begin + 1, end):
            covered, soft = stored.at(torch.tensor([place]))
            history = torch.from_numpy(chains.items[begin:place].astype(np.int64))[None]
            with torch.no_grad():
                expected = network(history)[:, 1:]
            assert covered.all() and isinstance(soft, StateTargets)
            torch.testing.assert_close(soft.states @ soft.items.T, expected, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_distilled_network_is_that_of_a_plain_loop_with_the_teacher_beside_it(
    temperature: float, teacher_run: Path, chains: Dataset, tmp_path: Path
) -> None:
    options = {"teacher": str(teacher_run), "distillation": 0.6, "temperature": temperature}
    done = train(chains, tmp_path, **options)
    assert done.metrics["training"]["best_epoch"] > 0
    teacher, _ = open_run(teacher_run, chains)
    seed_everything(5)
    network = EASRecNetwork(Architecture.read(tmp_path / "architecture.json").network)
    adam = torch.optim.Adam(network.parameters(), lr=RETRAIN["learning_rate"])
    batches = TrainingBatches(chains, 6, RETRAIN["batch_size"], "causal", 5)
    for epoch in range(done.metrics["training"]["best_epoch"] + 1):
        batches.set_epoch(epoch)
        for batch in batches:
            real = batch.targets != 0
            scores = network.states(batch.ids)[real] @ network.item_vectors().T
            with torch.no_grad():
                states = teacher.states(batch.ids)[real].half().float()
                q = (states @ teacher.item_vectors().T / temperature).softmax(1)
            hard = F.cross_entropy(scores, batch.targets[real] - 1)
            soft = F.cross_entropy(scores / temperature, q)
            adam.zero_grad()
            (0.4 * hard + 0.6 * temperature**2 * soft).backward()
            adam.step()
    written = read_weights(tmp_path / "weights.safetensors")
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(written[name], weight, rtol=1e-4, atol=1e-5)


def test_files_name_the_teacher_by_its_weights(teacher_run: Path, chains: Dataset, tmp_path: Path) -> None:
    done = train(chains, tmp_path, teacher=str(teacher_run), refit=True)
    digests = [file_digest(folder / "weights.safetensors") for folder in (teacher_run, teacher_run / "refitted")]
    for folder, digest in zip((tmp_path, tmp_path / "refitted"), digests, strict=True):
        text = (folder / "architecture.json").read_text()
        assert str(teacher_run) not in text
        assert json.loads(text)["training"]["teacher"] == {
            "kind": "run", "sha256": digest, "weight": 0.5, "temperature": 1.0
        }  # fmt: skip
        assert not list(folder.rglob("teacher-*")), "the stored states are deleted at the end"
    assert done.metrics["training"]["teacher"]["sha256"] == digests[0]
    # Retrained without --teacher, it learns from the targets alone: what is recorded is no path.
    again = train(chains, tmp_path / "again")
    assert "teacher" not in again.metrics["training"]
    distilled = Architecture.read(tmp_path / "architecture.json")
    settings = with_recorded(distilled, TrialSettings(data="chains"))
    assert "distilled from a teacher, and this training has none" in describe_training(distilled, settings, "it")
    settings = settings.with_parameters({"retrain.teacher": str(teacher_run)})
    assert "this training has none" not in describe_training(distilled, settings, "it")


def test_a_killed_distillation_goes_on_to_the_same_weights(teacher_run: Path, chains: Dataset, tmp_path: Path) -> None:
    options: dict[str, Any] = {"teacher": str(teacher_run), "space": {"dropout": 0.3}}
    train(chains, tmp_path / "unbroken", **options)

    def end(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        train(chains, tmp_path / "broken", **options, options={"on_epoch": end})
    kept = tmp_path / "broken" / "state" / "teacher-states.npy"
    stamp = kept.stat().st_mtime_ns
    stamps: list[int] = []

    def note(row: dict[str, float]) -> None:
        stamps.append(kept.stat().st_mtime_ns)

    done = train(chains, tmp_path / "broken", **options, options={"on_epoch": note})
    assert stamps and set(stamps) == {stamp}, "the states are not computed again"
    wanted = read_weights(tmp_path / "unbroken" / "weights.safetensors")
    for name, weight in read_weights(done.folder / "weights.safetensors").items():
        assert torch.equal(weight, wanted[name])


def test_another_teacher_is_another_run(teacher_run: Path, chains: Dataset, tmp_path: Path) -> None:
    train(chains, tmp_path, teacher=str(teacher_run), epochs=1)
    train(chains, tmp_path / "second", epochs=1)
    moved = tmp_path / "moved"
    moved.symlink_to(teacher_run)
    train(chains, tmp_path, teacher=str(moved), epochs=1)  # the same weights at another place
    for changes in ({"teacher": str(tmp_path / "second")}, {"teacher": str(teacher_run), "distillation": 0.6}, {}):
        with pytest.raises(UserError, match=r"other settings \(teacher differ\)"):
            train(chains, tmp_path, epochs=1, **changes)


@pytest.mark.slow
def test_processes_that_share_batches_share_the_teacher(teacher_run: Path, chains: Dataset, tmp_path: Path) -> None:
    options: dict[str, Any] = {"teacher": str(teacher_run), "epochs": 2}
    alone = train(chains, tmp_path / "alone", **options)
    both = train(chains, tmp_path / "both", **options, devices=2)
    wanted = read_weights(alone.folder / "weights.safetensors")
    for name, weight in read_weights(both.folder / "weights.safetensors").items():
        torch.testing.assert_close(weight, wanted[name], rtol=1e-3, atol=1e-4)


def test_a_teacher_that_has_seen_the_validation_is_refused(teacher_run: Path, chains: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="refitted on the validation interactions"):
        train(chains, tmp_path, teacher=str(teacher_run / "refitted"))
    served = tmp_path / "served"
    base = ["retrain", "--arch", str(teacher_run / "architecture.json"), "--data", str(chains.path), "--scratch"]
    common = [*base, "--all-data", "--epochs", "1", "--out"]
    result = CliRunner().invoke(app, [*common, str(served), "--teacher", str(teacher_run / "refitted")])
    assert result.exit_code == 0, result.output
    recorded = Architecture.read(served / "architecture.json").training
    assert recorded is not None and recorded.teacher is not None
    with pytest.raises(UserError, match="trained on all interactions"):
        train(chains, tmp_path / "taught", teacher=str(served))


def test_teachers_that_do_not_fit_are_refused(teacher_run: Path, chains: Dataset, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f"u{user},i{(user * step) % 30},{step}" for user in range(30) for step in range(1, 8)]
    log.write_text("user,item,time\n" + "\n".join(rows) + "\n")
    other = prepare(log, tmp_path / "prepared")
    with pytest.raises(UserError, match="was trained on another dataset"):
        train(other, tmp_path / "out", teacher=str(teacher_run))
    for path, message in (
        (tmp_path / "none", "does not exist"),
        (tmp_path, "is a folder without an architecture.json"),
    ):
        with pytest.raises(UserError, match=message):
            train(chains, tmp_path / "out", teacher=str(path))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "architecture.json").write_bytes((teacher_run / "architecture.json").read_bytes())
    with pytest.raises(UserError, match=r"has no weights.safetensors"):
        train(chains, tmp_path / "out", teacher=str(broken))
    weights = (teacher_run / "weights.safetensors").read_bytes()
    (broken / "weights.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match="is not a safetensors file"):
        train(chains, tmp_path / "out", teacher=str(broken))
    assert not list((tmp_path / "out").rglob("teacher-*"))


def test_a_diverged_teacher_is_refused(teacher_run: Path, chains: Dataset, tmp_path: Path) -> None:
    broken = tmp_path / "diverged"
    architecture = Architecture.read(teacher_run / "architecture.json")
    architecture.write(broken / "architecture.json")
    network = load_network(architecture, teacher_run / "weights.safetensors")
    with torch.no_grad():
        network.embedding.items.weight[3] = float("nan")
    save_weights(network.state_dict(), broken / "weights.safetensors")
    with pytest.raises(UserError, match="not finite"):
        train(chains, tmp_path / "out", teacher=str(broken))


def test_masked_networks_have_no_teacher(teacher_run: Path, chains: Dataset, tmp_path: Path) -> None:
    space = {"direction": "bidirectional", "objective": "masked"}
    with pytest.raises(UserError, match="retrain.teacher: mode: masked hides other items"):
        train(chains, tmp_path, space=space, mode="masked", teacher=str(teacher_run))
