"""TensorBoard files, read with TensorBoard's own reader."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from easrec_nni import Architecture, Dataset, TrialSettings
from easrec_nni.trial.nni_io import tensorboard_dir
from easrec_nni.trial.run import run_trial
from easrec_nni.trial.tensorboard import TensorBoardLog, network_image
from search_spaces import Choice, SpaceConfig

SPACE = SpaceConfig(n_items=20, hidden=16, inner=32, heads=2, max_length=5)
FOUND = Architecture(choices=Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=2), space=SPACE)


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    return events


def values(events: EventAccumulator, tag: str) -> list[float]:
    return [event.value for event in events.Scalars(tag)]


@pytest.fixture(scope="module")
def trial(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a complete trial with arch_every = 2."""
    document = {
        "data": str(tiny_dataset.path),
        "space": {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]},
        "search": {"epochs": 2, "batch_size": 8, "arch_every": 2, "budget": 0.6},
        "retrain": {"epochs": 1, "batch_size": 8},
    }
    out = tmp_path_factory.mktemp("trial")
    run_trial(TrialSettings.parse(document, "test"), out)
    return out


def test_a_trial_writes_what_its_history_has(trial: Path) -> None:
    from easrec_nni.training.history import read_history

    history = read_history(trial / "state" / "history.csv")
    events = read(trial / "tensorboard" / "search")
    for column, tag in {
        "train_loss": "loss/train",
        "architecture_loss": "loss/architecture",
        "constraint": "loss/constraint",
        "temperature": "search/tau",
        "depth": "search/depth L_t",
        "expected_cost": "cost/expected",
        "argmax_cost": "cost/argmax network",
        "multiplier": "cost/multiplier of the budget",
        "ndcg@10_full": "metrics/ndcg@10_full",
        "mrr@10_pop100": "metrics/mrr@10_pop100",
        "alpha_hidden50_inner25": "alpha/hidden50_inner25",
        "beta_2": "beta/2",
    }.items():
        assert values(events, tag) == pytest.approx([row[column] for row in history], rel=1e-5), tag
    assert [event.step for event in events.Scalars("search/tau")] == [0, 1]
    retrained = read(trial / "tensorboard" / "retrain")
    assert [event.step for event in retrained.Scalars("loss/train")] == [0]
    for name in ("ndcg@10_full", "selection_users_ndcg@10_full"):
        assert [event.step for event in retrained.Scalars(f"metrics/{name}")] == [-1, 0], "before the training, too"


def test_alpha_and_beta_are_probabilities(trial: Path) -> None:
    events = read(trial / "tensorboard" / "search")
    tags = events.Tags()["scalars"]
    for group, options in (("alpha/", 6), ("beta/", 2)):
        group_tags = [tag for tag in tags if tag.startswith(group)]
        assert len(group_tags) == options
        sums = np.sum([values(events, tag) for tag in group_tags], axis=0)
        np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_the_network_is_drawn(trial: Path) -> None:
    events = read(trial / "tensorboard" / "search")
    (shown,) = events.Images("network")
    with Image.open(io.BytesIO(shown.encoded_image_string)) as image:
        assert image.size == (shown.width, shown.height)
        pixels = np.asarray(image.convert("L"))
    drawn = network_image(Architecture.read(trial / "architecture.json"))
    np.testing.assert_array_equal(pixels, np.asarray(Image.fromarray(drawn).convert("L")))
    text = events.Tensors("architecture/text_summary")[0].tensor_proto.string_val[0].decode()
    assert '"choices"' in text


def test_the_drawing_shows_the_architecture_and_is_not_cut() -> None:
    small = network_image(FOUND)
    large = network_image(FOUND.model_copy(update={"choices": Choice(hidden_pruning=0, inner_pruning=0, depth=4)}))
    assert small.dtype == np.uint8 and small.shape[2] == 3
    assert large.shape[0] > small.shape[0]  # two layers more
    for picture in (small, large):
        dark = picture.min(axis=2) < 128
        assert 0.01 < dark.mean() < 0.5
        assert not dark[[0, -1], :].any() and not dark[:, [0, -1]].any()  # nothing touches the border


def test_what_cannot_be_written_breaks_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    log = TensorBoardLog(tmp_path / "taken")
    for epoch in range(3):
        log.epoch("search", {"epoch": epoch, "train_loss": 1.0})
    log.network(FOUND)
    log.close()
    warnings = [record.getMessage() for record in caplog.records if "TensorBoard" in record.getMessage()]
    assert len(warnings) == 1 and "no more TensorBoard files are written" in warnings[0]


def test_the_manager_s_folder_links_to_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NNI 3.0 documents one folder for trials and reads another."""
    output = tmp_path / "exp" / "environments" / "local-env" / "trials" / "abcde"
    output.mkdir(parents=True)
    link = tmp_path / "exp" / "trials" / "abcde" / "output" / "tensorboard"
    link.mkdir(parents=True)  # the button was pressed before
    for name, value in {"NNI_PLATFORM": "local", "NNI_TRIAL_JOB_ID": "abcde", "NNI_OUTPUT_DIR": str(output)}.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):  # a trial that goes on does it again
        assert tensorboard_dir("elsewhere") == output / "tensorboard"
        assert link.is_symlink() and link.resolve() == output / "tensorboard"


def test_elsewhere_nothing_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tensorboard_dir(tmp_path / "run") == tmp_path / "run" / "tensorboard"
    for name, value in {"NNI_PLATFORM": "remote", "NNI_TRIAL_JOB_ID": "a", "NNI_OUTPUT_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    assert tensorboard_dir("elsewhere") == tmp_path / "tensorboard"
    assert list(tmp_path.iterdir()) == []
