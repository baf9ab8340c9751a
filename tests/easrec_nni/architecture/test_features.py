"""Item features from a prepared dataset to a saved network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from easrec_nni import Architecture, Choice, Dataset, SpaceConfig, TrialSettings, evaluate, prepare, retrain, search
from easrec_nni.architecture.feature_tables import feature_table, set_features
from easrec_nni.architecture.features import feature_space_fields
from easrec_nni.architecture.weights import load_network, read_weights
from easrec_nni.common.errors import UserError
from easrec_nni.study.cell import run_cell
from easrec_nni.study.cells import Cell
from easrec_nni.study.systems import SYSTEMS
from search_spaces import EASRecSpace

N_ITEMS = 40
GENRES = ["comedy", "drama", "war"]
SPACE: dict[str, Any] = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "min_depth": 2}
SPACE |= {"hidden_pruning": [0], "inner_pruning": [0], "gate_layers": 0}
IDS = torch.tensor([[0, 0, 3, 7, 1, 12], [5, 40, 2, 8, 9, 4]])


def genres_of(item: int) -> list[str]:
    """One to three genres of an item; item 5 has none."""
    return [] if item == 5 else [GENRES[(item + step) % 3] for step in range(1 + item % 3)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Dataset of 40 items with genres, a decade, a title of words, and a rarely shared label."""
    folder = tmp_path_factory.mktemp("shop")
    inter = ["user_id:token\titem_id:token\ttimestamp:float"]
    inter += [f"u{user}\ti{(7 * user + step * step) % N_ITEMS}\t{step}" for user in range(40) for step in range(8)]
    (folder / "shop.inter").write_text("\n".join(inter) + "\n")
    item = ["item_id:token\tgenre:token_seq\tdecade:token\ttitle:token_seq\tlabel:token"]
    for number in range(N_ITEMS):
        words = " ".join(f"w{number % 3}_{place}" for place in range(9))
        item.append(
            f"i{number}\t{' '.join(genres_of(number))}\t{1980 + 10 * (number % 2)}\t{words}\tlabel{number // 2}"
        )
    (folder / "shop.item").write_text("\n".join(item) + "\n")
    return prepare(folder, folder / "prepared", name="shop")


def settings_for(dataset: Dataset, **space: Any) -> TrialSettings:
    return TrialSettings(data=str(dataset.path), space=SPACE | space, retrain={"epochs": 1, "weights": "scratch"})


def test_features_like_genres_are_taken_by_default(shop: Dataset) -> None:
    assert set(shop.item_features) == {"genre", "decade", "title", "label"}
    genre = {"feature_names": ("genre",), "feature_sizes": (3,), "feature_values": (3,)}
    assert feature_space_fields(shop) == genre  # not the title, 9 words of an item; nor the decade, never several
    single = {name: feature for name, feature in shop.item_features.items() if name != "genre"}
    fields = feature_space_fields(dataclasses.replace(shop, item_features=single))
    assert fields == {"feature_names": ("decade",), "feature_sizes": (2,), "feature_values": (1,)}  # nor the label
    assert feature_space_fields(shop, max_values=9)["feature_names"] == ("genre", "title")
    assert feature_space_fields(shop, ["label", "genre"]) == {
        "feature_names": ("label", "genre"),
        "feature_sizes": (20, 3),
        "feature_values": (1, 3),
    }


def test_movielens_gives_its_genres(ml100k: Dataset) -> None:
    # 18 genres and "unknown"; no film has more than 6.
    fields = feature_space_fields(ml100k)
    assert fields == {"feature_names": ("genre",), "feature_sizes": (19,), "feature_values": (6,)}
    table = feature_table(ml100k.item_features["genre"])
    number = ml100k.item_ids.tolist().index("50")  # Star Wars
    names = {ml100k.item_features["genre"].vocabulary[value] for value in table[number].tolist() if value}
    assert names == {"Action", "Adventure", "Romance", "Sci-Fi", "War"}


def test_a_table_has_the_values_of_each_item(shop: Dataset) -> None:
    feature = shop.item_features["genre"]
    table = feature_table(feature)
    assert table.shape == (N_ITEMS + 1, 3) and table.dtype == torch.int64
    assert table[0].tolist() == [0, 0, 0]
    for number in range(1, N_ITEMS + 1):
        item = int(shop.item_ids[number].removeprefix("i"))
        names = [feature.vocabulary[value] for value in table[number].tolist()]
        assert sorted(filter(None, names)) == sorted(set(genres_of(item)))
        assert names == sorted(names, key=lambda name: name == "")  # 0 on the right


def test_what_cannot_be_meant_is_refused_in_one_line(shop: Dataset, tiny_dataset: Dataset) -> None:
    with pytest.raises(UserError, match=r"has no item features, which SASRecF and FDSA need: leave .*\.item file"):
        feature_space_fields(tiny_dataset)
    with pytest.raises(UserError, match=r"no item feature 'genres'; did you mean 'genre'"):
        feature_space_fields(shop, ["genres"])
    with pytest.raises(UserError, match=r"no item feature 'colour'; it has genre, decade, title, label"):
        feature_space_fields(shop, ["colour"])
    label = dataclasses.replace(shop, item_features={"label": shop.item_features["label"]})
    with pytest.raises(UserError, match=r"none of the item features of shop \(label\) is like a genre.*feature_names"):
        feature_space_fields(label)
    nothing = dataclasses.replace(shop.item_features["genre"], offsets=np.zeros(42, np.int64), values=np.zeros(0, int))
    empty = dataclasses.replace(shop, item_features={"genre": nothing})
    with pytest.raises(UserError, match="no item of the dataset shop has a value of the feature 'genre'"):
        feature_space_fields(empty, ["genre"])


def test_settings_take_the_sizes_from_the_dataset(shop: Dataset, tiny_dataset: Dataset) -> None:
    config = settings_for(shop, features="fused").space_for(shop)
    assert (config.n_items, config.features, config.feature_names) == (N_ITEMS, "fused", ("genre",))
    assert (config.feature_sizes, config.feature_values) == ((3,), (3,))
    config = settings_for(shop, features="stream", feature_names=["decade", "genre"]).space_for(shop)
    assert (config.feature_sizes, config.feature_values) == ((2, 3), (1, 3))
    plain = SpaceConfig(n_items=30, **settings_for(tiny_dataset).space)
    assert settings_for(tiny_dataset).space_for(tiny_dataset) == plain
    for change, message in [
        ({"features": "fused", "feature_names": "genre"}, r"space.feature_names: must be a list of names"),
        ({"features": "fused", "feature_sizes": [3]}, "feature_sizes are set by the dataset; remove the key"),
        ({"features": "fused", "feature_values": [3]}, "feature_values are set by the dataset; remove the key"),
        ({"features": "fused", "min_depth": 1}, "needs a space with nothing to choose"),
        ({"features": "fusd"}, "'none', 'fused' or 'stream'"),
        ({"feature_names": ["genre"]}, "need features='fused' or 'stream'"),
    ]:
        with pytest.raises(UserError, match=message):
            settings_for(shop, **change).space_for(shop)
    with pytest.raises(UserError, match="has no item features"):
        settings_for(tiny_dataset, features="stream").space_for(tiny_dataset)


def test_searching_with_features_is_refused_with_the_reason(shop: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a space with nothing to choose"):
        search(shop, settings_for(shop, features="fused", min_depth=1), tmp_path)


@pytest.mark.parametrize("features", ["fused", "stream"])
def test_a_trained_network_needs_no_dataset(features: str, shop: Dataset, tmp_path: Path) -> None:
    settings = settings_for(shop, features=features, feature_names=["genre", "decade"])
    config = settings.space_for(shop)
    done = retrain(Architecture(choices=config.largest, space=config), shop, tmp_path, settings=settings)
    table = read_weights(tmp_path / "weights.safetensors")["embedding.features.fields.0.table"]
    assert torch.equal(table, feature_table(shop.item_features["genre"]))
    architecture = Architecture.read(tmp_path / "architecture.json")
    assert architecture.space == config
    network = load_network(architecture, tmp_path / "weights.safetensors").eval()
    assert torch.equal(network(IDS), done.network(IDS))
    assert evaluate(network, shop, "test").items() <= done.metrics["test"].items()
    assert done.metrics["cost"]["feature_madds_per_user"] > 0
    # A second call takes the run as it is, its tables included.
    again = retrain(architecture, shop, tmp_path, settings=settings)
    assert torch.equal(again.network(IDS), done.network(IDS))
    # Features have an effect: with those of other items the answers are others.
    tables = [feature_table(shop.item_features[name]) for name in ("genre", "decade")]
    network.set_feature_tables([torch.cat([table[:1], table[1:].roll(1, 0)]) for table in tables])
    assert not torch.allclose(network(IDS)[:, 1:], done.network(IDS)[:, 1:], atol=1e-4)


@pytest.mark.parametrize(
    "value, kind, message",
    [(9, torch.int64, "item feature 0: .* whole numbers from 0 to 3"), (1, torch.float32, "table as torch.float32")],
)
def test_weights_with_impossible_tables_are_refused(
    value: int, kind: torch.dtype, message: str, shop: Dataset, tmp_path: Path
) -> None:
    config = settings_for(shop, features="fused").space_for(shop)
    network = EASRecSpace(config)
    set_features(network, shop)
    weights = network.weights()
    name = "embedding.features.fields.0.table"
    weights[name] = weights[name].to(kind).index_fill(0, torch.tensor([4]), value)
    save_file(weights, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match=message):
        load_network(Architecture(choices=config.largest, space=config), tmp_path / "weights.safetensors")


def test_a_network_takes_only_the_features_it_was_made_for(shop: Dataset) -> None:
    fields = {"features": "fused", "feature_names": ["genre"], "feature_values": [3]}
    network = EASRecSpace(SpaceConfig(n_items=N_ITEMS, **SPACE, **fields, feature_sizes=[4]))
    with pytest.raises(UserError, match=r"architecture has feature_sizes=\[4\], the dataset shop \[3\]"):
        set_features(network, shop)
    # Without names, as a file by hand may be, the default ones are meant.
    fields["feature_names"] = ()
    network = EASRecSpace(SpaceConfig(n_items=N_ITEMS, **SPACE, **fields, feature_sizes=[3]))
    set_features(network, shop)
    network(IDS)
    set_features(EASRecSpace(SpaceConfig(n_items=N_ITEMS, **SPACE)), shop)  # nothing to do


@pytest.mark.parametrize("name", ["sasrecf", "fdsa-linrec"])
def test_systems_with_features_run_as_cells(name: str, shop: Dataset, tmp_path: Path) -> None:
    base = TrialSettings(data=str(shop.path), space=SPACE, search={"epochs": 1}, retrain={"epochs": 1})
    result = run_cell(Cell(name, 0), base, tmp_path).as_json()
    assert result["cost"]["parameters"] == _parameters(SYSTEMS[name].settings(base).space_for(shop))
    assert result["choices"] is None


def _parameters(config: SpaceConfig) -> int:
    assert config.is_fixed and config.features != "none"
    return sum(weight.numel() for weight in EASRecSpace(config).parameters())


def test_files_from_before_there_were_features_are_read() -> None:
    text = """{"schema_version": 1, "choices": {"hidden_pruning": 0.0, "inner_pruning": 0.0, "depth": 1},
               "space": {"n_items": 5, "hidden": 8, "heads": 2}}"""
    architecture = Architecture.parse(text)
    assert architecture.space.features == "none" and architecture.space.feature_sizes == ()
    assert Architecture.parse(architecture.to_json()) == architecture


@pytest.mark.parametrize(
    "change, message",
    [
        ({"feature_sizes": [1 << 40]}, "space.feature_sizes has more than"),
        ({"feature_values": [1 << 40]}, "space.feature_values has more than"),
        ({"feature_sizes": [1] * 2000, "feature_values": [1] * 2000}, "space.feature_sizes has more than 1000"),
    ],
)
def test_hostile_numbers_are_refused(change: dict[str, Any], message: str) -> None:
    fields = {"features": "fused", "feature_sizes": [3], "feature_values": [2]} | change
    space = SpaceConfig(n_items=5, **SPACE, **fields)
    document = {"choices": Choice(hidden_pruning=0, inner_pruning=0, depth=2), "space": space}
    with pytest.raises(ValueError, match=message):
        Architecture(**document)
