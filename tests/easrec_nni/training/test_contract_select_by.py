"""``select_by``: the metric that selects an epoch and is reported to the tuner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from easrec_nni.architecture.document import Architecture
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset, prepare
from easrec_nni.evaluation.metrics import user_gains
from easrec_nni.evaluation.scoring import rank_users
from easrec_nni.evaluation.selection import CROSS_ENTROPY, SELECTED, name_in, validation_rows
from easrec_nni.retraining.stage import retrain
from easrec_nni.settings.resolution import suited_figure
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.history import read_history
from easrec_nni.trial.run import run_trial
from search_spaces import Choice

SPACE = {"max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "hidden_pruning": [0, 0.5]}


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    document = {
        "data": str(dataset.path),
        "space": SPACE,
        "search": {"epochs": 2},
        "retrain": {"epochs": 5, "learning_rate": 0.02, "weights": "scratch"},
    }
    return TrialSettings.parse({**document, **changes}, "test")


@pytest.mark.parametrize("figure", ["ndcg@10_full", "ndcg@10_unseen"])
def test_the_best_epoch_is_that_of_the_figure(figure: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = settings_for(tiny_dataset, select_by=figure)
    space = settings.space_for(tiny_dataset)
    architecture = Architecture(choices=Choice(hidden_pruning=0, inner_pruning=0, depth=1), space=space)
    done = retrain(architecture, tiny_dataset, tmp_path, settings=settings)
    rows = read_history(tmp_path / "history.csv", empty="nan")
    best = max(rows, key=lambda row: row[figure])
    assert done.metrics["training"]["best_epoch"] == best["epoch"]
    protocol = figure.removeprefix("ndcg@10_")
    ranks = rank_users(done.network, tiny_dataset, "valid", protocols=[protocol])[protocol]
    gains = np.where(ranks <= 10, 1 / np.log2(1.0 + ranks), 0.0)
    assert gains.mean() == pytest.approx(best[figure], abs=1e-12)
    _, compared = validation_rows(tiny_dataset, settings.search.arch_share)
    assert gains[compared].mean() == pytest.approx(best[f"selection_users_{figure}"], abs=1e-12)
    theirs = done.metrics["valid_selection_users"]
    spread = gains[compared].std(ddof=1) / len(compared) ** 0.5
    assert theirs[f"{figure}_standard_error"] == pytest.approx(spread, abs=1e-12)
    with np.load(tmp_path / "ranks.npz") as stored:
        assert stored[f"valid_{protocol}"].tolist() == ranks.tolist()
        assert user_gains(stored["test_unseen"], "ndcg", 10).mean() == done.metrics["test"]["ndcg@10_unseen"]
    recorded = Architecture.read(tmp_path / "architecture.json").training
    assert recorded is not None
    assert recorded.select_by == figure
    other = settings_for(tiny_dataset, select_by={"ndcg@10_full": "ndcg@10_unseen"}.get(figure, "ndcg@10_full"))
    with pytest.raises(UserError, match="select_by"):
        retrain(architecture, tiny_dataset, tmp_path, settings=other)


@pytest.mark.parametrize("strategy", ["easrec", "random"])
def test_a_trial_tells_its_tuner_that_figure(strategy: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    search = {"strategy": strategy, "epochs": 2, "candidate_epochs": 1}
    result = run_trial(settings_for(tiny_dataset, search=search, select_by="ndcg@10_unseen"), tmp_path)
    rows = read_history(tmp_path / "retrained" / "history.csv", empty="nan")
    best = max(row["ndcg@10_unseen"] for row in rows)
    told = next(row for row in rows if row["ndcg@10_unseen"] == best)["selection_users_ndcg@10_unseen"]
    assert result.report["default"] == result.report["valid_selection_ndcg@10_unseen"] == pytest.approx(told, abs=1e-12)
    assert name_in(result.report, SELECTED) == "valid_selection_ndcg@10_unseen"
    assert result.report["default_standard_error"] > 0


def cross_entropy_by_loop(network: Any, dataset: Dataset) -> float:
    """Mean over users of the validation target's negative log probability among all items."""
    losses = []
    for user, place in zip(dataset.split.valid.users, dataset.split.valid.places, strict=True):
        history = np.asarray(dataset.items[dataset.offsets[user] : place], dtype=np.int64)[-SPACE["max_length"] :]
        with torch.no_grad():
            scores = network(torch.from_numpy(history)[None])[0].double().numpy()
        probabilities = np.exp(scores[1:]) / np.exp(scores[1:]).sum()
        losses.append(-np.log(probabilities[dataset.items[place] - 1]))
    return float(np.mean(losses))


def test_the_best_epoch_has_the_lowest_cross_entropy(tmp_path: Path) -> None:
    """With noise in the cycles the network is soon too sure of itself, while its ranking still improves."""
    rng, lines = np.random.default_rng(7), ["user,item,time"]
    for user in range(40):
        chosen = [(user + time) % 20 if rng.random() < 0.6 else rng.integers(0, 20) for time in range(8)]
        lines += [f"u{user},i{item},{time}" for time, item in enumerate(chosen)]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    noisy = prepare(tmp_path / "log.csv", out=tmp_path / "prepared")
    retraining = {"epochs": 12, "patience": 2, "learning_rate": 0.02, "batch_size": 8, "averaging": 0}
    settings = settings_for(noisy, select_by=CROSS_ENTROPY, retrain=retraining)
    space = settings.space_for(noisy)
    architecture = Architecture(choices=Choice(hidden_pruning=0, inner_pruning=0, depth=1), space=space)
    done = retrain(architecture, noisy, tmp_path / "run", settings=settings)
    rows = read_history(tmp_path / "run" / "history.csv", empty="nan")
    best = min(rows, key=lambda row: row[CROSS_ENTROPY])
    assert 0 <= best["epoch"] < max(rows, key=lambda row: row["ndcg@10_full"])["epoch"]
    assert done.metrics["training"]["best_epoch"] == best["epoch"] == rows[-1]["epoch"] - 2  # patience
    assert best[CROSS_ENTROPY] == pytest.approx(cross_entropy_by_loop(done.network, noisy), abs=1e-5)
    # Trials are compared by the NDCG that suits the log.
    figure = suited_figure(noisy)
    gains = user_gains(rank_users(done.network, noisy, "valid", protocols=["full"])["full"], "ndcg", 10)
    _, compared = validation_rows(noisy, settings.search.arch_share)
    assert figure == "ndcg@10_full"
    assert best[f"selection_users_{figure}"] == pytest.approx(gains[compared].mean(), abs=1e-12)
    assert done.metrics["valid_selection_users"][f"{figure}_standard_error"] > 0
    assert done.metrics["settings"]["select_by"] == CROSS_ENTROPY
    recorded = Architecture.read(tmp_path / "run" / "architecture.json").training
    assert recorded is not None and recorded.select_by == CROSS_ENTROPY


@pytest.mark.parametrize("strategy", ["easrec", "random"])
def test_a_tuner_maximises_an_ndcg_when_cross_entropy_selects(
    strategy: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    search = {"strategy": strategy, "epochs": 4, "candidate_epochs": 1, "learning_rate": 0.02}
    result = run_trial(settings_for(tiny_dataset, search=search, select_by=CROSS_ENTROPY), tmp_path)
    rows = read_history(tmp_path / "retrained" / "history.csv", empty="nan")
    best = min(rows, key=lambda row: row[CROSS_ENTROPY])
    assert result.report["default"] == pytest.approx(best["selection_users_ndcg@10_full"], abs=1e-12)
    assert result.report["default"] == result.report["valid_selection_ndcg@10_full"]
    assert result.report["select_by"] == CROSS_ENTROPY
    if strategy == "easrec":
        choice = {name: result.report[name] for name in ("hidden_pruning", "inner_pruning", "depth")}
        epochs = [row for row in read_history(tmp_path / "state" / "history.csv") if row["warmup"] == 0]
        of_choice = [row[CROSS_ENTROPY] for row in epochs if all(row[name] == choice[name] for name in choice)]
        written = Architecture.read(tmp_path / "architecture.json").metrics[f"search_valid_{CROSS_ENTROPY}"]
        assert written == pytest.approx(min(of_choice))


@pytest.mark.parametrize("kind", ["shop", "radio"])
def test_auto_is_recorded_as_the_metric_that_it_stands_for(kind: str, tmp_path: Path) -> None:
    """In a shop items do not return, on the radio they do."""
    step = 1 if kind == "shop" else 0
    rows = [
        f"{user},{(user + step * time + (1 - step) * (time % 3)) % 12},{time}"
        for user in range(24)
        for time in range(8)
    ]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    dataset = prepare(tmp_path / "log.csv", out=tmp_path / "prepared")
    figure = {"shop": "ndcg@10_unseen", "radio": "ndcg@10_full"}[kind]
    result = run_trial(settings_for(dataset, search={"epochs": 2}, retrain={"epochs": 2}), tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "retrained" / "metrics.json").read_text())
    sizes = {metrics["settings"]["retrain"]["batch_size"]}
    assert metrics["settings"]["select_by"] == result.report["select_by"] == figure
    assert name_in(result.report, SELECTED) == f"{SELECTED}{figure}"
    for folder in (tmp_path / "run", tmp_path / "run" / "retrained"):
        training = Architecture.read(folder / "architecture.json").training
        assert training is not None and training.retrain is not None
        assert training.select_by == figure
        sizes.add(training.retrain.batch_size)
    request = json.loads((tmp_path / "run" / "state" / "request.json").read_text())["request"]
    sizes.add(request["search"]["batch_size"])
    assert len(sizes) == 1 and isinstance(sizes.pop(), int)
    # The architecture alone trains by the recorded settings, and by the same ones again where it is given as a file.
    again = retrain(tmp_path / "run" / "architecture.json", dataset, tmp_path / "again")
    assert {key: again.metrics["settings"][key] for key in ("select_by", "retrain")} == {
        "select_by": figure,
        "retrain": metrics["settings"]["retrain"],
    }
