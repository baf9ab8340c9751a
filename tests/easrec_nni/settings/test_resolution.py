"""``auto`` against what the batches and the log have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easrec_nni import TrialSettings
from easrec_nni.data import Dataset, prepare
from easrec_nni.settings.resolution import TARGETS_PER_BATCH, resolved, suited_figure
from easrec_nni.training.context import TrialContext

SPACE: dict[str, Any] = {"hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]}


def parse(**changes: Any) -> TrialSettings:
    return TrialSettings.parse({"data": "shop", "space": SPACE, **changes}, "test")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """1,500 users with 3 to 90 interactions, most of them with few."""
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    lines = ["user,item,time"]
    for user, length in enumerate(np.minimum(3 + rng.geometric(0.08, 1500), 90)):
        lines += [f"u{user},i{item},{time}" for time, item in enumerate(rng.permutation(400)[:length])]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    return prepare(folder / "log.csv", out=folder / "prepared")


@pytest.mark.parametrize("batch_by", ["sequences", "targets"])
@pytest.mark.parametrize("max_length", [5, 50])
@pytest.mark.parametrize("history", ["all", "newest", "overlapping"])
def test_automatic_batches_have_about_1024_targets(history: str, max_length: int, batch_by: str, shop: Dataset) -> None:
    space = {**SPACE, "max_length": max_length}
    context = TrialContext.open(parse(space=space, history=history, batch_by=batch_by), shop)
    size = context.settings.retrain.batch_size
    assert isinstance(size, int) and size == context.settings.search.batch_size
    targets = [int((batch.targets != 0).sum()) for batch in context.training_batches(size)]
    # An epoch's last batch may be smaller, and a size is a whole number.
    assert 4 < len(targets) == pytest.approx(sum(targets) / TARGETS_PER_BATCH, abs=1.2)


def test_samples_of_the_augmented_mode_have_one_target(shop: Dataset) -> None:
    context = TrialContext.open(parse(mode="augmented", batch_by="sequences"), shop)
    assert context.settings.retrain.batch_size == TARGETS_PER_BATCH == 1024
    batches = context.training_batches(context.settings.retrain.batch_size)
    assert max(batch.targets.numel() for batch in batches) == 1024


def test_masked_batches_have_as_many_sequences_as_causal_ones(shop: Dataset) -> None:
    masked = {"mode": "masked", "space": {**SPACE, "direction": "bidirectional", "objective": "masked"}}
    sizes = [TrialContext.open(parse(**changes), shop).settings.retrain.batch_size for changes in ({}, masked)]
    assert sizes[0] == sizes[1]


def test_only_auto_is_replaced(shop: Dataset) -> None:
    explicit = parse(select_by="ndcg@10_full", search={"batch_size": 7}, retrain={"batch_size": 9})
    assert resolved(explicit, shop, 50) is explicit
    one = resolved(parse(search={"batch_size": 7}, select_by="cross_entropy_full"), shop, 50)
    assert one.search.batch_size == 7 and one.select_by == "cross_entropy_full"
    assert isinstance(one.retrain.batch_size, int) and one.retrain.batch_size != 7
    assert resolved(one, shop, 50) is one
    assert one.retrain.model_copy(update={"batch_size": "auto"}) == parse().retrain


def test_a_refit_has_the_batches_of_the_validated_run(shop: Dataset) -> None:
    context = TrialContext.open(parse(), shop)
    assert context.trained_through("valid").settings is context.settings


def test_the_metric_is_that_of_the_logs_ranking(shop: Dataset, tmp_path: Path) -> None:
    assert suited_figure(shop) == resolved(parse(), shop, 50).select_by == "ndcg@10_unseen"
    rows = [f"{user},{(user + time) % 4},{time}" for user in range(30) for time in range(9)]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    returning = prepare(tmp_path / "log.csv", out=tmp_path / "prepared")
    assert suited_figure(returning) == resolved(parse(), returning, 50).select_by == "ndcg@10_full"


def test_every_process_of_a_run_has_the_resolved_settings(shop: Dataset, tmp_path: Path) -> None:
    context = TrialContext.open(parse(), shop)
    job = TrialSettings.parse(context.job(tmp_path)["settings"], "job")
    assert job == context.settings != parse()
