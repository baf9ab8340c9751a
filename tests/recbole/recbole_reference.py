"""RecBole's models with random weights and what they answer, written to a file: run as a program, in its own process.

    python recbole_reference.py FOLDER_OF_RECBOLE OUTPUT.safetensors

Only the models asked for are imported, with stand-ins for packages that their modules import and do not use here, so
that nothing but the wheel itself is needed and nothing leaks into the process of the tests.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor

N_ITEMS, MAX_LENGTH, HIDDEN, INNER, HEADS, LAYERS = 40, 12, 16, 24, 2, 2
STAND_INS = ("colorlog", "texttable", "torch.utils.tensorboard", "thop", "ray", "wandb", "pandas")
# RecBole puts features with one value per item before those with several.
SIZES: dict[str, int] = {"year": 7, "country": 3, "genre": 9, "tag": 5}
MOST_VALUES = {"year": 1, "country": 1, "genre": 4, "tag": 3}
FEATURES: dict[str, tuple[str, ...]] = {
    "none": (),
    "one": ("year",),
    "several values": ("genre",),
    "all": ("year", "country", "genre", "tag"),
}
# RecBole's initialisation, and weights so large that a wrong mask, norm or order cannot hide.
SPREADS = {"initial": 0.02, "large": 0.3}


def cases() -> list[tuple[str, str, str]]:
    """Model, features, spread of the weights."""
    models = [("SASRec", "none"), ("CORE", "none"), ("BERT4Rec", "none")]
    models += [(name, chosen) for name in ("SASRecF", "FDSA") for chosen in list(FEATURES)[1:]]
    return [(model, features, spread) for model, features in models for spread in SPREADS]


def sequences() -> tuple[Tensor, Tensor]:
    """Sequences of all lengths, padded on the right as RecBole does, and their lengths."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([*range(1, MAX_LENGTH + 1), 1, 5, MAX_LENGTH])
    ids = torch.randint(1, N_ITEMS + 1, (len(lengths), MAX_LENGTH), generator=generator)
    return ids * (torch.arange(MAX_LENGTH) < lengths[:, None]), lengths


def tables() -> dict[str, Tensor]:
    """Values of each feature; some items have none."""
    generator = torch.Generator().manual_seed(2)
    result = {}
    for name, size in SIZES.items():
        table = torch.randint(1, size + 1, (N_ITEMS + 1, MOST_VALUES[name]), generator=generator)
        counts = torch.randint(0, MOST_VALUES[name] + 1, (N_ITEMS + 1, 1), generator=generator)
        counts[0] = 0
        result[name] = table * (torch.arange(MOST_VALUES[name]) < counts)
    return result


class Features(dict):
    """Stands for RecBole's ``Interaction`` of all items' features."""

    def to(self, device: object) -> Features:
        return self


class Dataset:
    """As much of RecBole's dataset as its models ask for."""

    def __init__(self, feature_type: Any) -> None:
        self.field2seqlen = {"item_id_list": MAX_LENGTH}
        self.field2type = {
            name: feature_type.TOKEN_SEQ if most > 1 else feature_type.TOKEN for name, most in MOST_VALUES.items()
        }

    def num(self, field: str) -> int:
        return N_ITEMS + 1 if field == "item_id" else SIZES[field] + 1

    def get_item_feature(self) -> Features:
        return Features({name: table[:, 0] if MOST_VALUES[name] == 1 else table for name, table in tables().items()})


def import_models(folder: Path) -> tuple[dict[str, Any], Any]:
    """RecBole's models and its enumeration of feature types."""
    sys.path.insert(0, str(folder))
    for name in STAND_INS:
        sys.modules[name] = MagicMock()
    # The package's own __init__ imports every model there is.
    package = types.ModuleType("recbole.model.sequential_recommender")
    package.__path__ = [str(folder / "recbole" / "model" / "sequential_recommender")]
    sys.modules[package.__name__] = package
    models = {
        name: getattr(importlib.import_module(f"{package.__name__}.{name.lower()}"), name)
        for name in ("SASRec", "SASRecF", "FDSA", "CORE", "BERT4Rec")
    }
    return models, importlib.import_module("recbole.utils").FeatureType


def newest_states(model: Any, ids: Tensor, lengths: Tensor) -> Tensor:
    """What items are scored with."""
    if type(model).__name__ == "CORE":
        return model(ids)
    if type(model).__name__ == "BERT4Rec":
        # What stands between the mask's state and the items is not ours: a dense layer, a norm, a bias of each item.
        model.output_ffn = model.output_gelu = model.output_ln = torch.nn.Identity()
        model.output_bias.data.zero_()
        return model.gather_indexes(model(model.reconstruct_test_data(ids, lengths)), lengths - 1)
    return model(ids, lengths)


def answers(model: Any, case: str, spread: str) -> dict[str, Tensor]:
    """Weights of one model, its newest states and its scores, by name."""
    if spread == "large":
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.normal_(1.0 if "LayerNorm.weight" in name else 0.0, SPREADS[spread])
    ids, lengths = sequences()
    with torch.no_grad():
        states = newest_states(model.eval(), ids, lengths)
        scores = model.full_sort_predict({"item_id_list": ids, "item_length": lengths})
    weights = {f"{case}/weights/{name}": weight.clone() for name, weight in model.state_dict().items()}
    return {**weights, f"{case}/states": states, f"{case}/scores": scores}


def main(folder: Path, output: Path) -> None:
    """Write everything."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    models, feature_type = import_models(folder)
    written: dict[str, Tensor] = {}
    for name, features, spread in cases():
        config = {
            "USER_ID_FIELD": "user_id",
            "ITEM_ID_FIELD": "item_id",
            "LIST_SUFFIX": "_list",
            "ITEM_LIST_LENGTH_FIELD": "item_length",
            "NEG_PREFIX": "neg_",
            "MAX_ITEM_LIST_LENGTH": MAX_LENGTH,
            "device": torch.device("cpu"),
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "hidden_size": HIDDEN,
            "embedding_size": HIDDEN,
            "dnn_type": "trm",
            "sess_dropout": 0.2,
            "item_dropout": 0.2,
            "temperature": 0.07,
            "mask_ratio": 0.2,
            **{name: name for name in ("MASK_ITEM_SEQ", "POS_ITEMS", "NEG_ITEMS", "MASK_INDEX")},
            "inner_size": INNER,
            "hidden_dropout_prob": 0.5,
            "attn_dropout_prob": 0.5,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-12,
            "initializer_range": SPREADS["initial"],
            "loss_type": "CE",
            "selected_features": list(FEATURES[features]),
            "pooling_mode": "mean",
        }
        model = models[name](config, Dataset(feature_type))
        written.update(answers(model, f"{name}/{features}/{spread}", spread))
    save_file(written, output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
