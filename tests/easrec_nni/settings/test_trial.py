"""Settings files: reading, validation, and error messages."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from easrec_nni.common.errors import UserError
from easrec_nni.common.yaml_files import LARGEST_FILE_BYTES
from easrec_nni.data import Dataset
from easrec_nni.data.batches.modes import History, Mode
from easrec_nni.settings.examples import examples_folder
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from search_spaces import SpaceConfig

EXAMPLES = sorted((examples_folder() / "settings").glob("*.yml"))


def parse(**document: Any) -> TrialSettings:
    return TrialSettings.parse({"data": "ml-100k", **document}, "test.yml")


def message_of(error: pytest.ExceptionInfo[UserError]) -> str:
    """Error message, asserted to be a single line."""
    text = str(error.value)
    assert "\n" not in text
    return text


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "amazon-beauty",
        "demo",
        "douban",
        "gowalla",
        "ml100k",
        "ml1m",
        "my-log",
        "streaming",
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_shipped_file_reads_and_says_what_is_used(path: Path) -> None:
    settings = TrialSettings.read(path)
    config = settings.space_for(1000)
    assert len(config.architectures()) > 1
    # Every key of the file is found in what was read, with its value.
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    read = settings.model_dump(by_alias=True)
    for key, value in document.items():
        if isinstance(value, dict) and key != "space":
            for name, inner in value.items():
                assert read[key][name] == inner
        else:
            assert read[key] == value
    for name, value in document["space"].items():
        result = getattr(config, name)
        assert (list(result) if isinstance(result, tuple) else result) == value


def test_defaults_are_those_of_the_paper() -> None:
    settings = parse()
    config = settings.space_for(3706)
    assert (config.max_length, config.hidden, config.inner, config.layers, config.heads) == (200, 128, 256, 4, 4)
    assert config.hidden_pruning == config.inner_pruning == (0.0, 0.25, 0.5)
    assert (config.dropout, config.gates_from, config.gate_scale) == (0.2, 2, 2.0)
    assert (settings.search.lambda_, settings.search.learning_rate, settings.search.patience) == (0.1, 1e-3, 10)
    tau = settings.search.temperature
    assert (tau.start, tau.end, tau.decay) == (1.0, 0.01, 0.00005)


@pytest.mark.parametrize(
    "document, words",
    [
        ({"sed": 3}, ["unknown key 'sed'", "did you mean 'seed'"]),
        ({"search": {"lamda": 0.1}}, ["unknown key 'search.lamda'", "did you mean 'lambda'"]),
        ({"search": {"arch_evry": 2}}, ["unknown key 'search.arch_evry'", "did you mean 'arch_every'"]),
        ({"search": {"temperature": {"deacy": 1}}}, ["'search.temperature.deacy'", "did you mean 'decay'"]),
        ({"retrain": {"epoch": 3}}, ["unknown key 'retrain.epoch'", "did you mean 'epochs'"]),
        ({"xyzzy": 3}, ["unknown key 'xyzzy'", "choose from"]),
        ({"seed": -1}, ["seed: ", "greater than or equal to 0", "(got -1)"]),
        ({"seed": "many"}, ["seed: ", "(got 'many')"]),
        ({"mode": "both"}, ["mode: ", "'causal', 'augmented' or 'masked'"]),
        ({"search": {"lambda": -0.5}}, ["search.lambda: ", "(got -0.5)"]),
        ({"search": {"lambda": math.nan}}, ["search.lambda: ", "finite"]),
        ({"search": {"learning_rate": math.inf}}, ["search.learning_rate: ", "finite"]),
        ({"search": {"learning_rate": 0}}, ["search.learning_rate: ", "greater than 0"]),
        ({"search": {"budget": 0}}, ["search.budget: ", "greater than 0"]),
        ({"search": {"budget": "140%"}}, ["search.budget: ", "less than or equal to 1"]),
        ({"search": {"budget": "forty%"}}, ["search.budget: ", "(got 'forty%')"]),
        ({"search": {"budget": 0.4, "lambda": 0.1}}, ["search: ", "budget and lambda exclude each other"]),
        ({"search": {"budget": 0.4, "constraint": "printed"}}, ["search: ", "leave constraint out"]),
        ({"search": {"cost": "executed", "constraint": "printed"}}, ["search: ", "counts nominal cost", "remove cost"]),
        ({"search": {"cost": "flops"}}, ["search.cost: ", "'nominal', 'executed'"]),
        ({"search": {"arch_share": 1.0}}, ["search.arch_share: ", "less than 1"]),
        ({"search": {"epochs": 1.5}}, ["search.epochs: ", "(got 1.5)"]),
        ({"search": 3}, ["search: "]),
        ({"space": [1]}, ["space: "]),
        ({"data": 3}, ["data: "]),
        ({"space": {1: 2}}, ["space.1", "valid string"]),
        ({1: 2}, ["test.yml"]),
    ],
)
def test_mistakes_are_named_in_one_line(document: dict[Any, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        TrialSettings.parse({"data": "ml-100k", **document}, "test.yml")
    message = message_of(error)
    assert message.startswith("test.yml: ")
    for word in words:
        assert word in message


def test_the_dataset_is_required() -> None:
    with pytest.raises(UserError, match="the key 'data' is missing"):
        TrialSettings.parse({}, "test.yml")


@pytest.mark.parametrize(
    "space, words",
    [
        ({"hiden": 64}, ["unknown key 'hiden'", "did you mean 'hidden'"]),
        ({"heads": 3, "hidden": 64}, ["heads=3 do not divide"]),
        ({"hidden_pruning": [0, True]}, ["space: hidden_pruning: yes and no (true, false) are not valid"]),
        ({"heads": True}, ["space: heads: yes and no"]),
        ({"hidden_pruning": []}, ["hidden_pruning", "distinct numbers"]),
        ({"min_depth": 9}, ["min_depth=9 is larger than layers=4"]),
        ({"dropout": math.nan}, ["dropout: ", "finite"]),
        ({"n_items": 5}, ["n_items"]),
    ],
)
def test_mistakes_in_the_space_are_named_in_one_line(space: dict[Any, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        parse(space=space).space_for(10)
    message = message_of(error)
    assert message.startswith("settings, space: ")
    for word in words:
        assert word in message


def test_causal_mode_refuses_a_bidirectional_network() -> None:
    settings = parse(space={"direction": "bidirectional"})
    with pytest.raises(UserError, match="space.direction must be causal too .*or set mode: augmented"):
        settings.space_for(10)
    # Either of the two ways out that the message names.
    both_ways = parse(space={"direction": "bidirectional"}, mode="augmented")
    assert both_ways.space_for(10).direction == "bidirectional"
    assert parse(mode="augmented").space_for(10).direction == "causal"


def value_at(settings: TrialSettings, name: str) -> Any:
    document: Any = settings.model_dump(by_alias=True)
    for part in name.split("."):
        document = document[part]
    return document


@pytest.mark.parametrize(
    "name, value, place",
    [
        ("lambda", 0.7, "search.lambda"),
        ("search.lambda", 0.7, "search.lambda"),
        ("budget", 0.4, "search.budget"),
        ("search.budget", 0.4, "search.budget"),
        ("seed", 5, "seed"),
        ("mode", "augmented", "mode"),
        ("history", "newest", "history"),
        ("search.arch_every", 4, "search.arch_every"),
        ("search.temperature.decay", 0.25, "search.temperature.decay"),
        ("retrain.weights", "scratch", "retrain.weights"),
        ("space.dropout", 0.4, "space.dropout"),  # not in the file: a default of the space
        ("space.hidden", 32, "space.hidden"),
    ],
)
def test_sampled_parameters_replace_keys(name: str, value: Any, place: str) -> None:
    before = parse(space={"hidden": 64})
    after = before.with_parameters({name: value})
    assert value_at(after, place) == value
    changed = [
        key
        for key in ("data", "mode", "history", "seed", "search", "retrain", "space")
        if value_at(after, key) != value_at(before, key)
    ]
    assert changed == [place.split(".")[0]]
    assert value_at(before, "space") == {"hidden": 64}  # the settings themselves stay as they were


def test_a_sampled_budget_replaces_lambda_and_the_other_way_round() -> None:
    assert parse(search={"lambda": 0.2}).with_parameters({"budget": "40%"}) == parse(search={"budget": 0.4})
    assert parse(search={"budget": "12.5%"}).search.budget == 0.125
    assert parse(search={"budget": 0.4}).search.lambda_ is None
    assert parse(search={"budget": 0.4}).with_parameters({"search.lambda": 0.2}) == parse(search={"lambda": 0.2})
    assert parse(search={"budget": 0.4}).with_parameters({"seed": 1}).search.budget == 0.4
    assert parse(search={"budget": None}) == parse(search={"lambda": 0.1}) == parse()


def test_the_kind_of_cost_is_executed_unless_the_constraint_is_printed() -> None:
    kinds = ({}, {"constraint": "printed"}, {"cost": "parameters"}, {"constraint": "printed", "cost": "nominal"})
    assert [parse(search=each).search.cost_kind for each in kinds] == ["executed", "nominal", "parameters", "nominal"]
    # Runs of versions without the key weighed nominal cost.
    document = parse().model_dump(mode="json", by_alias=True)
    assert TrialSettings.reopen(document, "study.json").search.cost_kind == "executed"
    del document["search"]["cost"]
    assert TrialSettings.reopen(document, "study.json").search.cost_kind == "nominal"


def test_parameters_of_the_space_reach_the_network() -> None:
    settings = parse().with_parameters({"space.dropout": 0.4, "space.hidden": 64, "lambda": 0, "seed": 9})
    config = settings.space_for(10)
    assert (config.dropout, config.hidden) == (0.4, 64)
    assert (settings.search.lambda_, settings.seed) == (0, 9)
    assert parse().with_parameters({}) == parse()


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"lamda": 0.1}, ["hyper-parameter 'lamda' is not a key of the settings"]),
        ({"sed": 1}, ["did you mean 'seed'"]),
        ({"search.arch_evry": 2}, ["did you mean 'arch_every'"]),
        ({"serch.lambda": 0.1}, ["the settings have no section 'serch'"]),
        ({"seed.more": 1}, ["the settings have no section 'seed'"]),
        ({"lambda": "much"}, ["hyper-parameters: search.lambda: ", "(got 'much')"]),
        ({"lambda": -1}, ["search.lambda"]),
        ({"search.arch_every": 0}, ["search.arch_every"]),
        ({"search": 3}, ["search"]),
        ({"lambda": 0.1, "budget": 0.4}, ["budget and lambda exclude each other"]),
    ],
)
def test_sampled_parameters_that_mean_nothing_are_refused(parameters: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        parse().with_parameters(parameters)
    message = message_of(error)
    for word in words:
        assert word in message


def test_an_unknown_key_of_the_space_is_refused_when_the_space_is_made() -> None:
    settings = parse().with_parameters({"space.drop_out": 0.1})
    with pytest.raises(UserError, match="unknown key 'drop_out'; did you mean 'dropout'"):
        settings.space_for(10)


@pytest.mark.parametrize(
    "text, words",
    [
        ("data: !!python/object/apply:os.system ['touch {canary}']", ["is not valid YAML"]),
        ("data: !!python/name:os.system", ["is not valid YAML"]),
        ("!!python/object:builtins.dict {{}}", ["is not valid YAML"]),
        ("data: ml-100k\nseed: yes", ["seed: yes and no (true, false) are not valid here"]),
        ("data: ml-100k\nsearch:\n  lambda: on", ["search.lambda: yes and no"]),
        ("data: ml-100k\nseed: 010", ["010 is the number 8 in YAML"]),
        ("data: ml-100k\nseed: 12:30", ["12:30 is the number 750 in YAML"]),
        ("data: [", ["is not valid YAML"]),
        ("data: a\nseed: 1\ndata: b", ["the key 'data' is there twice: keep one of them", "line 3"]),
        ("search: {lambda: 0.1, epochs: 3, lambda: 0.2}", ["the key 'lambda' is there twice"]),
        ("data: ml-100k\n\tseed: 1", ["is not valid YAML"]),
        ("", ["must hold keys and values"]),
        ("- data", ["must hold keys and values"]),
        ("ml-100k", ["must hold keys and values"]),
        ("[" * 5000, ["is not valid YAML"]),
        ("data: ml-100k\nseed: .nan", ["seed: "]),
    ],
    ids=lambda value: value[:25] if isinstance(value, str) else "",
)
def test_files_that_are_no_settings_are_refused(text: str, words: list[str], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    file = tmp_path / "settings.yml"
    file.write_text(text.replace("{canary}", str(canary)).replace("{{}}", "{}"), encoding="utf-8")
    with pytest.raises(UserError) as error:
        TrialSettings.read(file)
    message = message_of(error)
    assert str(file) in message
    for word in words:
        assert word in message
    assert not canary.exists()  # nothing of the file was executed


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no settings file .*; `easrec init` writes examples"):
        TrialSettings.read(tmp_path / "missing.yml")
    with pytest.raises(UserError, match="there is no settings file"):
        TrialSettings.read(tmp_path)
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"\xff\xfe\x00data")
    with pytest.raises(UserError, match="is not valid YAML"):
        TrialSettings.read(binary)


def test_huge_files_are_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.yml"
    text = "data: ml-100k\n"
    file.write_text(text + "#" * (LARGEST_FILE_BYTES - len(text)), encoding="utf-8")
    assert TrialSettings.read(file).data == "ml-100k"
    with file.open("a", encoding="utf-8") as more:
        more.write("#")
    with pytest.raises(UserError, match="bytes: not a settings file"):
        TrialSettings.read(file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["data", "space", "mode", "history", "seed", "search", "retrain", "x"])


@given(document=st.dictionaries(KEYS, JSON, max_size=4))
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_document_is_settings_or_one_line(document: dict[str, Any]) -> None:
    try:
        config = TrialSettings.parse(document, "any.yml").space_for(10)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(config, SpaceConfig)


def bomb() -> str:
    """YAML with aliases that expand to 10^9 entries."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join([*lines, "data: x", "seed: *a8"])


def test_what_is_refused_is_quoted_briefly() -> None:
    """The message must not expand the aliases."""
    with pytest.raises(UserError) as caught:
        TrialSettings.parse(yaml.safe_load(bomb()), "bomb.yml")
    assert len(caught.value.message) < 1000


def test_aliases_are_counted_as_what_they_stand_for(tmp_path: Path) -> None:
    """Expanding such settings, to apply sampled parameters, would exhaust the memory."""
    (tmp_path / "settings.yml").write_text(bomb().replace("seed:", "space:\n  dropout:"))
    with pytest.raises(UserError, match="stands for more than 100000 entries"):
        TrialSettings.read(tmp_path / "settings.yml")


def test_the_number_of_items_is_the_datasets() -> None:
    with pytest.raises(UserError, match="n_items is set by the dataset"):
        TrialSettings(data="x", space={"n_items": 5}).space_for(7)


def test_another_dataset_of_the_same_name_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    fingerprint = tiny_dataset.fingerprint
    for accepted in ("", fingerprint, fingerprint[:12]):
        settings = parse(data=str(tiny_dataset.path), data_fingerprint=accepted)
        assert settings.dataset().fingerprint == fingerprint
    other = parse(data=str(tiny_dataset.path), data_fingerprint="0" * 64)
    with pytest.raises(UserError) as caught:
        other.dataset()
    assert f"has fingerprint {fingerprint[:12]}, and the settings ask for 000000000000" in message_of(caught)
    for wrong in ("0" * 11, "0" * 65, "g" * 12, "0" * 63 + "\n"):
        with pytest.raises(UserError, match="data_fingerprint"):
            parse(data_fingerprint=wrong)


def test_a_manifest_that_lies_is_found_out(tiny_dataset: Dataset, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_dataset.path, tmp_path / "data"))
    items = np.load(folder / "items.npy", allow_pickle=False)
    items[0] = items[0] % 30 + 1
    np.save(folder / "items.npy", items)
    parse(data=str(folder)).dataset()  # a number within the catalogue, which only the fingerprint knows
    with pytest.raises(UserError, match="do not have the fingerprint of the manifest"):
        parse(data=str(folder), data_fingerprint=tiny_dataset.fingerprint).dataset()


def test_a_relative_path_starts_where_the_trials_do(tiny_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    shutil.copytree(tiny_dataset.path, tmp_path / "data")
    assert parse(data="../data").dataset(beside=tmp_path / "code").fingerprint == tiny_dataset.fingerprint


@pytest.mark.parametrize(
    ("mode", "history", "message"),
    [
        (
            "augmented",
            "newest",
            "history: newest is of mode: causal and masked, and mode is augmented: set history: all",
        ),
        (
            "augmented",
            "overlapping",
            "history: overlapping is of mode: causal, and mode is augmented: set history: all",
        ),
        ("masked", "overlapping", "history: overlapping is of mode: causal, and mode is masked: set history: all"),
    ],
)
def test_a_history_that_the_mode_would_ignore_is_refused(mode: str, history: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        TrialSettings.parse({"data": "tiny", "mode": mode, "history": history}, "settings.yml")
    with pytest.raises(UserError, match=message):
        parse(mode="causal", history=history).with_parameters({"mode": mode})


@pytest.mark.parametrize("mode", get_args(Mode))
def test_every_history_that_a_mode_takes_changes_what_is_trained(mode: str, tiny_dataset: Dataset) -> None:
    drawn: dict[str, list[Any]] = {}
    for history in get_args(History):
        try:
            settings = parse(mode=mode, history=history)
        except UserError:
            continue
        space = SpaceConfig(n_items=tiny_dataset.n_items, max_length=4)
        batches = TrialContext(settings, tiny_dataset, space).training_batches(8)
        drawn[history] = [(batch.ids.tolist(), batch.targets.tolist()) for batch in batches]
    assert "all" in drawn
    for one, other in itertools.combinations(drawn, 2):
        assert drawn[one] != drawn[other], f"{mode}: {one} and {other} train the same"


def test_settings_of_a_run_that_ignored_its_history_still_open() -> None:
    document = parse(mode="augmented").model_dump(mode="json", by_alias=True) | {"history": "newest"}
    assert TrialSettings.reopen(document, "study.json") == parse(mode="augmented")
    document = parse(history="newest").model_dump(mode="json", by_alias=True)
    assert TrialSettings.reopen(document, "study.json").history == "newest"
    with pytest.raises(UserError, match="overlapping"):
        TrialSettings.reopen(document | {"mode": "augmented", "history": "overlapping"}, "study.json")
