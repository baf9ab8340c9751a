from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from easrec_nni.architecture.document import LARGEST_FILE_BYTES, Architecture, DatasetReference
from easrec_nni.architecture.training_settings import RetrainSettings, TeacherRecord, TrainingSettings
from easrec_nni.common.errors import UserError
from search_spaces.config import Choice, SpaceConfig, candidate_label

SPACE = SpaceConfig(n_items=1682, hidden=64, inner=256, heads=2, max_length=50)
CHOICE = Choice(hidden_pruning=0.25, inner_pruning=0.5, depth=2)


def full_architecture() -> Architecture:
    labels = [candidate_label(*candidate) for candidate in SPACE.candidates]
    return Architecture(
        choices=CHOICE,
        space=SPACE,
        dataset=DatasetReference(name="ml-100k", fingerprint="ab12", n_users=943, n_items=1682),
        seed=3,
        lambda_=0.1,
        cost={
            "madds_per_user": 3.4e6,
            "block_madds_per_user": 2.6e6,
            "parameters": 140_700,
            "embedding_bytes": 333_100,
        },
        probabilities={
            "pruning": {label: 0.6 if label == CHOICE.label else 0.05 for label in labels},
            "depth": {"1": 0.1, "2": 0.7, "3": 0.15, "4": 0.05},
        },
        metrics={"ndcg@10_full": 0.1021},
        versions={"nni": "3.0"},
        training=TrainingSettings(loss="gbce", negatives=9, retrain=RetrainSettings(epochs=7)),
    )


def by_hand() -> dict[str, Any]:
    return {
        "choices": {"hidden_pruning": 0.25, "inner_pruning": 0.5, "depth": 2},
        "space": {"n_items": 1682, "hidden": 64, "inner": 256, "heads": 2},
    }


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    architecture = full_architecture()
    architecture.write(tmp_path / "new" / "architecture.json")
    assert Architecture.read(tmp_path / "new" / "architecture.json") == architecture
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["architecture.json"]


def test_keys_have_the_order_of_the_schema_and_lambda_its_own_name() -> None:
    document = json.loads(full_architecture().to_json())
    assert list(document)[:6] == ["schema_version", "choices", "space", "dataset", "seed", "lambda"]
    assert document["schema_version"] == 1


@given(st.sampled_from(SPACE.architectures()), st.integers(0, 2**32), st.floats(0, 1e9))
def test_every_architecture_of_a_space_survives_writing(choice: Choice, seed: int, lambda_: float) -> None:
    architecture = Architecture(choices=choice, space=SPACE, seed=seed, lambda_=lambda_)
    assert Architecture.parse(architecture.to_json()) == architecture


def test_a_file_written_by_hand_needs_choices_and_space_alone() -> None:
    architecture = Architecture.parse(json.dumps(by_hand()))
    assert architecture.network.hidden == 48
    assert architecture.network.inner == 128
    assert architecture.network.layers == 2
    assert architecture.cost == {}


HOSTILE_TRAINING = [
    ([], "training"),
    ({"los": "gbce"}, r"unknown key 'training.los'; did you mean 'loss'"),
    ({"retrain": {"epoch": 3}}, r"unknown key 'training.retrain.epoch'; did you mean 'epochs'"),
    ({"masking": {"rate": 3}}, r"unknown key 'training.masking.rate'; choose from share, newest_share"),
    ({"loss": "__import__('os')"}, r"training.loss: Input should be 'softmax'"),
    ({"mode": "\x1b[2J"}, r"training.mode"),
    ({"seed": True}, r"training.seed"),
    ({"seed": 1 << 32}, r"training.seed: Input should be less than or equal to 4294967295"),
    ({"seed": "3"}, r"training.seed"),
    ({"negatives": int("9" * 4000)}, r"training.negatives"),
    ({"retrain": {"epochs": 0}}, r"training.retrain.epochs"),
    ({"retrain": {"epochs": 1 << 40}}, r"training.retrain.epochs"),
    ({"retrain": {"learning_rate": -1}}, r"training.retrain.learning_rate"),
    ({"retrain": {"batch_size": 2.5}}, r"training.retrain.batch_size"),
    ({"arch_share": 1}, r"training.arch_share: Input should be less than 1"),
    ({"gbce_t": 1e400}, r"training.gbce_t|Infinity"),
]


@pytest.mark.parametrize(("section", "problem"), HOSTILE_TRAINING)
def test_invalid_training_settings_are_refused_in_one_line(section: object, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        Architecture.parse(json.dumps({**by_hand(), "training": section}))
    assert caught.value.message.isprintable() and len(caught.value.message) < 700


def test_unset_training_settings_stay_unset() -> None:
    training = Architecture.parse(json.dumps({**by_hand(), "training": {"loss": "gbce"}})).training
    assert training is not None and training.flat() == {"loss": "gbce"}


def test_the_unpruned_architecture_is_the_largest_of_the_space() -> None:
    unpruned = full_architecture().unpruned()
    assert unpruned.training == full_architecture().training and unpruned.probabilities == {}
    assert unpruned.choices == SPACE.largest
    assert unpruned.dataset == full_architecture().dataset
    assert not unpruned.cost and not unpruned.metrics and unpruned.lambda_ is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "architecture.json"
    full_architecture().write(file)
    before = file.read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(UserError, match="no space is left"):
        full_architecture().unpruned().write(file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def change(*path: str, to: Any = None, drop: bool = False) -> Callable[[dict[str, Any]], None]:
    """Function that sets or drops a key of the document."""

    def apply(document: dict[str, Any]) -> None:
        target = document
        for part in path[:-1]:
            target = target.setdefault(part, {})
        if drop:
            del target[path[-1]]
        else:
            target[path[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (change("schema_version", to=2), ["schema_version 2", "newer"]),
        (change("schema_version", to="1"), ["schema_version '1'"]),
        (change("schema_version", to=True), ["schema_version True"]),
        (change("choises", to={}), ["unknown key 'choises'", "did you mean 'choices'"]),
        (change("lambda_", to=0.1), ["unknown key 'lambda_'", "did you mean 'lambda'"]),
        (change("space", "hiden", to=64), ["unknown key 'space.hiden'", "did you mean 'hidden'"]),
        (change("choices", "zoo", to=64), ["unknown key 'choices.zoo'", "hidden_pruning, inner_pruning, depth"]),
        (change("choices", drop=True), ["'choices' is missing"]),
        (change("choices", "depth", drop=True), ["'choices.depth' is missing"]),
        (change("space", "n_items", drop=True), ["'space.n_items' is missing"]),
        (change("choices", to=None), ["choices"]),
        (change("choices", "depth", to=5), ["choices.depth=5", "1, 2, 3, 4"]),
        (change("choices", "depth", to=0), ["choices.depth", "greater than or equal to 1"]),
        (change("choices", "depth", to="2"), ["choices.depth", "integer", "'2'"]),
        (change("choices", "depth", to=True), ["choices.depth", "integer"]),
        (change("choices", "hidden_pruning", to=0.3), ["choices.hidden_pruning=0.3", "0.0, 0.25, 0.5"]),
        (change("choices", "inner_pruning", to=-1), ["choices.inner_pruning", "greater"]),
        (change("space", "heads", to=7), ["heads=7 do not divide"]),
        (change("space", "hidden_pruning", to=[0, 0.33]), ["hidden_pruning=0.33", "do not divide"]),
        (change("space", "attention", to="linerc"), ["'linerc'", "did you mean 'linrec'"]),
        (change("space", "direction", to="sideways"), ["space.direction", "'causal'"]),
        (change("space", "layers", to=10**15), ["space.layers is more than 1000"]),
        (change("space", "n_items", to=10**15), ["space.n_items is more than"]),
        (change("space", "linformer_rank", to=10**15), ["space.linformer_rank is more than"]),
        (change("space", "attention", to="linformer"), ["space", "no causal form", "direction='bidirectional'"]),
        (change("dataset", to={"name": "x", "n_users": 1, "n_items": 3}), ["dataset.n_items=3", "space.n_items=1682"]),
        (change("cost", "madds_per_user", to=-1), ["madds_per_user is negative"]),
        (change("cost", "madds_per_user", to="much"), ["cost.madds_per_user", "'much'"]),
        (change("seed", to=-1), ["seed"]),
        (change("probabilities", to={"depth": {"1": 0.5, "2": 0.4}}), ["probabilities.depth must sum to 1", "0.9"]),
        (change("probabilities", to={"depth": {"1": 1.5, "2": -0.5}}), ["is not from 0 to 1"]),
        (change("probabilities", to={"depth": {"9": 1.0}}), ["'9' is not in this space"]),
        (change("probabilities", to={"pruning": {"hidden25_inner5": 1.0}}), ["did you mean 'hidden25_inner50'"]),
        (change("probabilities", to={"width": {"1": 1.0}}), ["probabilities.width", "'pruning' or 'depth'"]),
        (change("metrics", to={"ndcg": "x" * 5000}), ["metrics.ndcg"]),
    ],
)
def test_mistakes_are_one_clear_line(
    mistake: Callable[[dict[str, Any]], None], words: list[str], tmp_path: Path
) -> None:
    document = by_hand()
    mistake(document)
    file = tmp_path / "architecture.json"
    file.write_text(json.dumps(document))
    with pytest.raises(UserError) as error:
        Architecture.read(file)
    message = error.value.message
    assert str(file) in message
    assert "\n" not in message
    assert len(message) < 700
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "'choices' and 'space'"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"choices": 1, "choices": 2}', "'choices' appears twice"),
        (b'{"cost": {"a": NaN}}', "NaN is not a number"),
        (b'{"cost": {"a": -Infinity}}', "-Infinity is not a number"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b" " * (LARGEST_FILE_BYTES + 1), "not an architecture file"),
        (b"__import__('os').system('echo')", "not valid JSON"),
    ],
)
def test_hostile_files_are_refused(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "architecture.json"
    file.write_bytes(content)
    with pytest.raises(UserError, match=words):
        Architecture.read(file)


def test_numbers_too_large_for_a_float_are_refused() -> None:
    text = json.dumps(by_hand() | {"cost": {"madds_per_user": 1}}).replace(
        '"madds_per_user": 1', '"madds_per_user": 1e999'
    )
    with pytest.raises(UserError, match="cost.madds_per_user.*finite"):
        Architecture.parse(text)


KEYS = st.sampled_from(["choices", "space", "depth", "hidden", "cost", "probabilities", "n_items"]) | st.text()
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20))
def test_no_document_raises_anything_but_a_user_error(document: Any) -> None:
    try:
        Architecture.parse(json.dumps(document))
    except UserError as error:
        assert "\n" not in error.message


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="easrec export"):
        Architecture.read(tmp_path / "none.json")
    with pytest.raises(UserError, match=r"there is no architecture file .*architecture\.json"):
        Architecture.read(tmp_path)
    full_architecture().write(tmp_path / "architecture.json")
    assert Architecture.read(tmp_path) == full_architecture()
    with pytest.raises(UserError, match="is a folder"):
        full_architecture().write(tmp_path)


def render(architecture: Architecture, unpruned: dict[str, float] | None = None) -> str:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(architecture.draw(unpruned))
    return capture.get()


def test_the_drawing_shows_widths_layers_costs_and_probabilities() -> None:
    text = render(full_architecture(), {"madds_per_user": 6.8e6})
    for words in ("48 of 64", "128 of 256", "layer 1", "layer 2", "layers 3 to 4", "cut away", "δ1 × 48", "50%"):
        assert words in text
    assert "0.600" in text
    assert text.count("◀ chosen") == 2
    assert "layer 3 " not in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("choice", [SPACE.largest, Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1)])
def test_the_smallest_and_the_largest_architecture_can_be_drawn(choice: Choice) -> None:
    text = render(Architecture(choices=choice, space=SPACE))
    assert ("cut away" in text) == (choice.depth < 4)
    assert text.count("attention") == choice.depth


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, ["newest state × item", "50 positions"]),
        ({"head": "core"}, ["cosine with the session's", "50 positions"]),
        ({"objective": "masked", "direction": "bidirectional"}, ["state of the mask × item", "51 positions"]),
    ],
)
def test_the_drawing_says_what_items_are_scored_with(options: dict[str, Any], words: list[str]) -> None:
    space = SpaceConfig(n_items=1682, max_length=50, **options)
    text = render(Architecture(choices=space.largest, space=space))
    assert all(part in text for part in words)


@pytest.mark.parametrize(
    ("kind", "temperature", "words"),
    [
        ("run", 1.0, "distilled with weight 0.7 from a network (abababababab)"),
        ("table", 2.0, "distilled with weight 0.7 at temperature 2 from a table of scores (abababababab)"),
    ],
)
def test_the_drawing_names_the_teacher(kind: Any, temperature: float, words: str) -> None:
    teacher = TeacherRecord(kind=kind, sha256="ab" * 32, weight=0.7, temperature=temperature)
    architecture = full_architecture().model_copy(update={"training": TrainingSettings(teacher=teacher)})
    assert words in " ".join(render(architecture).split())
    assert "distilled" not in render(full_architecture())


def test_a_deep_network_is_abbreviated() -> None:
    space = SPACE.model_copy(update={"layers": 500})
    text = render(Architecture(choices=space.largest, space=space))
    assert "500 layers" in text
    assert len(text.splitlines()) < 50
