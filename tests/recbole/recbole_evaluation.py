"""RecBole's own split, sampler, loaders and ranks on a log, written to a file: run as a program, in its own process.

    python recbole_evaluation.py FOLDER_OF_RECBOLE INPUT.npz OUTPUT.npz

INPUT has ``items`` and ``offsets`` as in our datasets, ``scores`` ``[n_items + 1]`` and ``rounds``, how often each part
is drawn. OUTPUT has for each part ``users`` and ``targets`` ``[E]``, ``negatives`` ``[rounds, E, 100]`` as drawn,
repeats included, and ``ranks`` ``[rounds, E]``. Packages that RecBole imports and does not use here are stand-ins.
"""

from __future__ import annotations

import importlib
import sys
from collections import defaultdict
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch

STAND_INS = ("colorlog", "colorama", "texttable", "torch.utils.tensorboard", "thop", "ray", "wandb", "pandas", "tqdm")
PER_USER = 100
CONFIG = {
    "MAX_ITEM_LIST_LENGTH": 3,  # histories are of no concern here
    "ITEM_LIST_LENGTH_FIELD": "item_length",
    "LIST_SUFFIX": "_list",
    "numerical_features": [],
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "pop100"},
    "repeatable": True,  # what RecBole insists on for sequential models
    "train_neg_sample_args": {"distribution": "none", "sample_num": "none", "alpha": "none", "dynamic": False},
    "valid_neg_sample_args": {"distribution": "popularity", "sample_num": PER_USER},
    "test_neg_sample_args": {"distribution": "popularity", "sample_num": PER_USER},
    "eval_batch_size": 4096,
    "LABEL_FIELD": "label",
    "NEG_PREFIX": "neg_",
    "ITEM_ID_FIELD": "item_id",
    "eval_type": None,
    "single_spec": True,
    "worker": 0,
    "seed": 0,
    "reproducibility": True,
    "topk": [PER_USER + 1],
    "metrics": ["NDCG"],
    "device": "cpu",
}


def sequential_dataset(items: np.ndarray, offsets: np.ndarray) -> Any:
    """RecBole's dataset of a log that is read, before its augmentation."""
    module = importlib.import_module("recbole.data.dataset.sequential_dataset")
    interaction = importlib.import_module("recbole.data.interaction").Interaction
    kinds = importlib.import_module("recbole.utils").FeatureType
    dataset = object.__new__(module.SequentialDataset)
    users = np.repeat(np.arange(1, len(offsets)), np.diff(offsets))
    log = {"user_id": users, "item_id": items.astype(np.int64), "timestamp": np.arange(len(items), dtype=np.float32)}
    columns = {name: torch.from_numpy(np.asarray(values)) for name, values in log.items()}
    dataset.__dict__.update(
        config=defaultdict(lambda: None, CONFIG),
        logger=MagicMock(),
        max_item_list_len=CONFIG["MAX_ITEM_LIST_LENGTH"],
        item_list_length_field=CONFIG["ITEM_LIST_LENGTH_FIELD"],
        uid_field="user_id",
        iid_field="item_id",
        time_field="timestamp",
        label_field="label",
        field2type={"user_id": kinds.TOKEN, "item_id": kinds.TOKEN, "timestamp": kinds.FLOAT},
        field2source={},
        field2seqlen={"user_id": 1, "item_id": 1, "timestamp": 1},
        field2bucketnum={},
        field2id_token={"user_id": range(len(offsets)), "item_id": range(int(items.max()) + 1)},
        feat_name_list=["inter_feat"],
        benchmark_filename_list=None,
        user_feat=None,
        item_feat=None,
        alias={},
        _preloaded_weight={},
        inter_feat=interaction(columns),
    )
    return dataset


def main(folder: str, source: str, output: str) -> None:
    sys.path.insert(0, folder)
    for name in STAND_INS:
        sys.modules[name] = MagicMock()
    given = np.load(source)
    data = importlib.import_module("recbole.data.utils")
    trainer = importlib.import_module("recbole.trainer.trainer")
    collector = importlib.import_module("recbole.evaluator.collector")
    kinds = importlib.import_module("recbole.utils")
    config = defaultdict(lambda: None, CONFIG | {"eval_type": kinds.EvaluatorType.RANKING})
    dataset = sequential_dataset(given["items"], given["offsets"])
    dataset.config = config
    dataset.data_augmentation()
    dataset.sort(by="timestamp")
    built = dataset.leave_one_out(group_by="user_id", leave_one_mode="valid_and_test")
    samplers = data.create_samplers(config, dataset, built)
    scores = torch.from_numpy(given["scores"])
    model = SimpleNamespace(predict=lambda interaction: scores[interaction["item_id"]])
    judge = SimpleNamespace(test_batch_size=1 << 30, model=model, device="cpu", config=config, tot_item_num=len(scores))
    np.random.seed(0)
    found: dict[str, np.ndarray] = {}
    for part, chosen, sampler in zip(("valid", "test"), built[1:], samplers[1:], strict=True):
        loader = data.NegSampleEvalDataLoader(config, chosen, sampler)
        rounds = [_round(loader, trainer.Trainer, judge, collector.Collector) for _ in range(int(given["rounds"]))]
        for name in ("users", "targets"):
            found[f"{part}_{name}"] = rounds[0][name]
        for name in ("negatives", "ranks"):
            found[f"{part}_{name}"] = np.stack([each[name] for each in rounds])
    np.savez(output, **found)


def _round(loader: Any, trainer: Any, judge: Any, collector: Any) -> dict[str, np.ndarray]:
    """One evaluation of a part."""
    collected: dict[str, list[np.ndarray]] = {"users": [], "targets": [], "negatives": [], "ranks": []}
    for batch in loader:
        interaction, _, users, targets = batch
        # A user's rows lie together: its target, then what was drawn.
        drawn = interaction["item_id"].reshape(len(users), 1 + PER_USER)
        collected["users"].append(interaction["user_id"].reshape(len(users), 1 + PER_USER)[:, 0].numpy())
        collected["targets"].append(targets.numpy())
        collected["negatives"].append(drawn[:, 1:].numpy())
        _, scores, _, _ = trainer._neg_sample_batch_eval(judge, batch)
        kept = SimpleNamespace(
            register=SimpleNamespace(need=lambda name: name == "rec.topk"),
            topk=[min(1 + PER_USER, scores.shape[1])],
            data_struct=MagicMock(),
        )
        collector.eval_batch_collect(kept, scores, interaction, users, targets)
        name, result = kept.data_struct.update_tensor.call_args.args
        assert name == "rec.topk"
        collected["ranks"].append(1 + result[:, :-1].argmax(dim=1).numpy())
    return {name: np.concatenate(parts) for name, parts in collected.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
