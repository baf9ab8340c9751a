"""With RecBole 1.2.1's weights, our SASRec, SASRecF, FDSA, CORE and BERT4Rec answer as RecBole's do.

BERT4Rec's without the projection that RecBole has between the mask's state and the items.

Runs where EASREC_RECBOLE names a folder with the unpacked wheel:

    pip download --no-deps recbole==1.2.1 -d FOLDER && python -m zipfile -e FOLDER/recbole-1.2.1-py3-none-any.whl FOLDER
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from search_spaces import EASRecSpace, SpaceConfig

# Tests are no package: the program is loaded from its file, and run from there.
PROGRAM = Path(__file__).with_name("recbole_reference.py")
_spec = importlib.util.spec_from_file_location("recbole_reference", PROGRAM)
assert _spec is not None and _spec.loader is not None
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

FOLDER = os.environ.get("EASREC_RECBOLE")
NEAR = {"rtol": 0, "atol": 1e-5}
CASES = pytest.mark.parametrize("model, features, spread", reference.cases(), ids=map("/".join, reference.cases()))

pytestmark = pytest.mark.skipif(not FOLDER, reason="EASREC_RECBOLE names no folder with the unpacked recbole wheel")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What RecBole wrote, from a process of its own: its imports patch and shadow too much."""
    output = tmp_path_factory.mktemp("recbole") / "answers.safetensors"
    command = [sys.executable, str(PROGRAM), str(FOLDER), str(output)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return load_file(output)


def config_of(model: str, features: str) -> SpaceConfig:
    names = reference.FEATURES[features]
    masked = model == "BERT4Rec"
    return SpaceConfig(
        n_items=reference.N_ITEMS,
        max_length=reference.MAX_LENGTH - masked,  # RecBole's mask takes the place of an item
        direction="bidirectional" if masked else "causal",
        objective="masked" if masked else "next",
        head="core" if model == "CORE" else "state",
        hidden=reference.HIDDEN,
        inner=reference.INNER,
        heads=reference.HEADS,
        layers=reference.LAYERS,
        min_depth=reference.LAYERS,
        hidden_pruning=(0.0,),
        inner_pruning=(0.0,),
        attention="softmax",
        gate_layers=0,
        positions="from_start",
        dropout=0.5,
        features={"SASRecF": "fused", "FDSA": "stream"}.get(model, "none"),
        feature_names=names,
        feature_sizes=tuple(reference.SIZES[name] for name in names),
        feature_values=tuple(reference.MOST_VALUES[name] for name in names),
    )


def blocks(theirs: dict[str, Tensor], source: str, target: str) -> dict[str, Tensor]:
    """Weights of one stack of blocks."""
    named = {
        "out": "multi_head_attention.dense",
        "attention_norm": "multi_head_attention.LayerNorm",
        "expand": "feed_forward.dense_1",
        "contract": "feed_forward.dense_2",
        "output_norm": "feed_forward.LayerNorm",
    }
    ours = {}
    for layer in range(reference.LAYERS):
        begin = f"{source}.layer.{layer}"
        for kind in ("weight", "bias"):
            parts = [theirs[f"{begin}.multi_head_attention.{part}.{kind}"] for part in ("query", "key", "value")]
            ours[f"{target}.blocks.{layer}.qkv.{kind}"] = torch.cat(parts)
            for own, other in named.items():
                ours[f"{target}.blocks.{layer}.{own}.{kind}"] = theirs[f"{begin}.{other}.{kind}"]
    return ours


def feature_weights(theirs: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """Embeddings of the features; those with one value per item lie in one table in RecBole."""
    single = [name for name in names if reference.MOST_VALUES[name] == 1]
    several = [name for name in names if reference.MOST_VALUES[name] > 1]
    embeddings: dict[str, Tensor] = {}
    if single:
        together = theirs["feature_embed_layer.token_embedding_table.item.embedding.weight"]
        embeddings.update(zip(single, together.split([reference.SIZES[name] + 1 for name in single]), strict=True))
    for number, name in enumerate(several):
        embeddings[name] = theirs[f"feature_embed_layer.token_seq_embedding_table.item.{number}.weight"]
    return {f"embedding.features.fields.{names.index(name)}.values.weight": embeddings[name] for name in names}


def our_network(theirs: dict[str, Tensor], model: str, features: str) -> EASRecSpace:
    """Our network with RecBole's weights, in eval mode; every weight must have been given."""
    names = reference.FEATURES[features]
    encoder = "net." if model == "CORE" else ""
    ours = {
        "embedding.items.weight": theirs["item_embedding.weight"],
        "embedding.positions.weight": theirs[f"{encoder}position_embedding.weight"],
    }
    if model == "CORE":
        ours["head.energy.weight"] = theirs["net.fn.weight"]
    for kind in ("weight", "bias"):
        ours[f"embedding.norm.{kind}"] = theirs[f"{encoder}LayerNorm.{kind}"]
        if model in ("SASRecF", "FDSA"):
            layer = "embedding.features.fuse" if model == "SASRecF" else "layers.join"
            ours[f"{layer}.{kind}"] = theirs[f"concat_layer.{kind}"]
        if model == "FDSA" and len(names) > 1:
            for part in (0, 2):
                ours[f"embedding.features.energy.{part}.{kind}"] = theirs[f"feature_att_layer.projection.{part}.{kind}"]
    if model == "FDSA":
        ours |= blocks(theirs, "item_trm_encoder", "layers") | blocks(theirs, "feature_trm_encoder", "layers.features")
    else:
        ours |= blocks(theirs, f"{encoder}trm_encoder", "layers")
    ours |= feature_weights(theirs, names)
    tables = [reference.tables()[name] for name in names]
    ours |= {f"embedding.features.fields.{number}.table": table for number, table in enumerate(tables)}
    network = EASRecSpace(config_of(model, features))
    network.load_state_dict(ours)
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-12  # RecBole's; ours is torch's default
    return network.eval()


def weights_of(answers: dict[str, Tensor], case: str) -> dict[str, Tensor]:
    begin = f"{case}/weights/"
    return {name.removeprefix(begin): weight for name, weight in answers.items() if name.startswith(begin)}


@torch.no_grad()
@CASES
def test_newest_states_and_scores_are_recboles(
    answers: dict[str, Tensor], model: str, features: str, spread: str
) -> None:
    case = f"{model}/{features}/{spread}"
    network = our_network(weights_of(answers, case), model, features)
    ids, lengths = reference.sequences()
    expected = answers[f"{case}/states"]
    # The comparison means something only if users differ by much more than it allows.
    apart = expected[lengths > 1]
    assert (apart[:, None] - apart[None]).abs().amax(-1).add(torch.eye(len(apart))).min() > 1e-3
    if model == "BERT4Rec":
        ids = ids[:, 1:]  # RecBole leaves the oldest item out, of short histories too
        torch.testing.assert_close(network.states(network.prompt(ids))[:, -1], expected, **NEAR)
    else:
        torch.testing.assert_close(network.states(ids)[torch.arange(len(ids)), lengths - 1], expected, **NEAR)
    states = network.newest_state(ids)
    torch.testing.assert_close(states, expected, **NEAR)
    size = 1 / network.config.core_temperature if model == "CORE" else 1.0  # of the scores, which a temperature divides
    torch.testing.assert_close(network(ids)[:, 1:] / size, answers[f"{case}/scores"][:, 1:] / size, **NEAR)
    print(f"{case}: largest difference {(states - expected).abs().max():.1e}")
    # Our padding may be anywhere: on the left, as the rest of the project has it, the answers are the same.
    left = torch.stack([row.roll(int((row == 0).sum())) for row in ids])
    torch.testing.assert_close(network.newest_state(left), expected, **NEAR)


@CASES
def test_parameters_are_as_many_as_recboles(answers: dict[str, Tensor], model: str, features: str, spread: str) -> None:
    theirs = weights_of(answers, f"{model}/{features}/{spread}")
    count = sum(weight.numel() for weight in theirs.values())
    if model == "FDSA" and len(reference.FEATURES[features]) == 1:  # an attention over one feature, which has no effect
        count -= sum(weight.numel() for name, weight in theirs.items() if name.startswith("feature_att_layer"))
    others = {"CORE": ("net.fn.bias",), "BERT4Rec": ("output_",)}.get(model, ())  # what ours does not have
    count -= sum(weight.numel() for name, weight in theirs.items() if name.startswith(others))
    network = EASRecSpace(config_of(model, features))
    assert sum(weight.numel() for weight in network.parameters()) == count
