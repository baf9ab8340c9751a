"""Trial context against its parts built by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from easrec_nni import Dataset, TrialSettings
from easrec_nni.common.errors import UserError
from easrec_nni.data.batches.evaluation import ArchitectureBatches
from easrec_nni.data.batches.masked import MaskedBatches
from easrec_nni.data.batches.modes import BatchBy
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.data.splits.validation_users import split_validation_users
from easrec_nni.training.context import TrialContext
from search_spaces import Choice, SpaceConfig

SPACE: dict[str, Any] = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]}
MASKED: dict[str, Any] = {"mode": "masked", "space": {**SPACE, "direction": "bidirectional", "objective": "masked"}}


def context_of(dataset: Dataset, **changes: Any) -> TrialContext:
    return TrialContext.open(TrialSettings.parse({"data": "tiny", "space": SPACE, **changes}, "test"), dataset)


def contents(batches: Any) -> list[Any]:
    batches.set_epoch(1)
    return [(batch.ids.tolist(), batch.targets.tolist()) for batch in batches]


def test_it_opens_the_dataset_that_the_settings_name(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = TrialSettings(data=str(tiny_dataset.path), space=SPACE)
    context = TrialContext.open(settings)
    assert context.dataset.fingerprint == tiny_dataset.fingerprint
    assert context.space == SpaceConfig(n_items=tiny_dataset.n_items, **SPACE)
    with pytest.raises(UserError, match="there is no dataset"):
        TrialContext.open(TrialSettings(data="no-such-dataset", space=SPACE))
    with pytest.raises(UserError, match=r"settings, space: .*heads"):
        context_of(tiny_dataset, space={**SPACE, "heads": 3})


def test_training_batches_are_in_the_mode_history_and_order_of_the_settings(tiny_dataset: Dataset) -> None:
    for batch_by in get_args(BatchBy):
        unit = {"batch_by": batch_by, "seed": 5}
        newest = context_of(tiny_dataset, history="newest", **unit).training_batches(8)
        assert contents(newest) == contents(TrainingBatches(tiny_dataset, 6, 8, "causal", 5, "newest", batch_by))
        masked = context_of(tiny_dataset, **MASKED, **unit, masking={"share": 0.4}).training_batches(8)
        expected = MaskedBatches(tiny_dataset, 6, 8, 5, "all", batch_by, share=0.4, newest_share=0.5)
        assert contents(masked) == contents(expected)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_users_either_train_alpha_and_beta_or_select(tiny_dataset: Dataset, share: float) -> None:
    context = context_of(tiny_dataset, search={"arch_share": share, "arch_batch_size": 7})
    train, select = split_validation_users(len(tiny_dataset.split.test.users), share, 0)
    assert not set(train) & set(select)
    result = context.architecture_batches()
    assert contents(result) == contents(ArchitectureBatches(tiny_dataset, 6, 7, train, 0))
    rows = torch.cat([batch.rows for batch in context.selection_batches()]).tolist()
    assert sorted(rows) == sorted(select.tolist())
    everybody = torch.cat([batch.rows for batch in context.selection_batches(every_user=True)]).tolist()
    assert sorted(everybody) == sorted([*train.tolist(), *select.tolist()])
    assert np.array_equal(context.architecture_rows, train) and np.array_equal(context.selection_rows, select)


# Defaults of earlier versions, which the identities of their runs do not name.
EARLIER: dict[str, Any] = {"batch_by": "sequences", "select_by": "ndcg@10_full"}
STAGES = {
    "search": {"batch_size": 32},
    "retrain": {"batch_size": 32, "averaging": 0.0, "beta2": 0.999, "weight_decay": 0.0},
}

DECIDE = {
    "seed": 1,
    "history": "newest",
    "loss": "gbce",
    "precision": "bf16",
    "devices": 2,
    "micro_batch": 64,
    "space": {**SPACE, "dropout": 0.3},
}


@pytest.mark.parametrize("stage", ["search", "retrain"])
def test_a_stage_is_known_by_all_that_decides_its_result(tiny_dataset: Dataset, stage: Any) -> None:
    base = {**EARLIER, **STAGES}

    def identity(**changes: Any) -> dict[str, Any]:
        return context_of(tiny_dataset, **{**base, **changes}).identity(stage)

    plain = identity()
    resolved_defaults = {"cost", "arch_loss"} if stage == "search" else set()
    assert (
        set(plain) == {"dataset", "space", stage, "mode", "history", "seed"} | resolved_defaults and plain[stage] == {}
    )
    decide = {**DECIDE, "batch_by": "targets", "select_by": "ndcg@10_unseen"}
    for key, value in decide.items():
        assert identity(**{key: value})[key] != plain.get(key), key
    others = {"batch_size": 7, "averaging": 0.5, "beta2": 0.9, "weight_decay": 0.3, "epochs": 3}
    for key in [*STAGES[stage], "epochs"]:
        changed = identity(**{stage: {**STAGES[stage], key: others[key]}})[stage]
        assert set(changed) == {key}
    for key, value in {"search" if stage == "retrain" else "retrain": {"epochs": 3}, "objective": "ndcg"}.items():
        assert identity(**{key: value}) == plain, key
    # Without the mode or loss that reads them, these decide nothing.
    assert identity(masking={"share": 0.4}, negatives=7, gbce_t=0.1) == plain
    resolved = context_of(tiny_dataset).identity(stage)
    assert isinstance(resolved[stage]["batch_size"], int) and resolved["batch_by"] == "targets"


def test_settings_at_todays_defaults_are_those_of_versions_without_them(tiny_dataset: Dataset) -> None:
    def identity(**search: Any) -> dict[str, Any]:
        return context_of(tiny_dataset, search={**STAGES["search"], **search}).identity("search")

    plain = identity()
    assert plain["search"] == {} and plain["cost"] == "executed"
    for same in ({"lambda": 0.1}, {"cost": "executed"}):
        assert identity(**same) == plain
    assert identity(**{"lambda": 0.2})["search"] == {"lambda_": 0.2}
    assert identity(budget=0.2)["search"] == {"budget": 0.2}
    for other in ({"cost": "nominal"}, {"constraint": "printed"}):
        assert identity(**other)["cost"] == "nominal"
    assert plain["arch_loss"] == identity(arch_loss="calibrated")["arch_loss"] == "calibrated"
    for by_the_weights_loss in ({"strategy": "darts"}, {"constraint": "printed"}, {"arch_loss": "training"}):
        assert "arch_loss" not in identity(**by_the_weights_loss)


def test_a_document_of_an_architecture_has_what_belongs_to_it(tiny_dataset: Dataset) -> None:
    context = context_of(tiny_dataset, seed=4, search={"arch_share": 0.3})
    choice = Choice(hidden_pruning=0.5, inner_pruning=0.5, depth=1)
    document = context.architecture(choice, metrics={"x": 0.5})
    assert (document.choices, document.space, document.seed) == (choice, context.space, 4)
    assert document.dataset is not None and document.dataset.fingerprint == tiny_dataset.fingerprint
    assert document.training is not None and document.training.arch_share == 0.3
    assert document.cost["madds_per_user"] < context.architecture(context.space.largest).cost["madds_per_user"]
    assert document.metrics == {"x": 0.5} and document.lambda_ is None and not document.probabilities
