"""Algorithm 1 in real searches on a tiny dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from easrec_nni.architecture.cost import cost_table
from easrec_nni.architecture.weights import LOGITS, read_weights
from easrec_nni.data import Dataset, prepare
from easrec_nni.data.batches.evaluation import ArchitectureBatches, EvaluationBatches
from easrec_nni.evaluation.selection import validation_rows
from easrec_nni.searching.option_losses import OptionLosses
from easrec_nni.searching.stage import SearchResult, search
from easrec_nni.settings.trial import TrialSettings
from strategies import EASRec, Selection
from strategies.easrec import EASRecModule

SPACE: dict[str, Any] = {
    "max_length": 6,
    "hidden": 8,
    "inner": 16,
    "heads": 2,
    "layers": 3,
    "hidden_pruning": [0, 0.5],
    "inner_pruning": [0, 0.5],
    "supernet": "shared",
}
# What the warm-up does is in test_contract_strategies.py.
SEARCH: dict[str, Any] = {"epochs": 6, "warmup_epochs": 0, "patience": 100, "batch_size": 8, "arch_batch_size": 8}
SEARCH |= {"cost": "nominal"}


def run(
    dataset: Dataset, folder: Path, seed: int = 0, space: dict[str, Any] | None = None, **options: Any
) -> SearchResult:
    document = {"data": str(dataset.path), "seed": seed, "space": SPACE | (space or {}), "search": SEARCH | options}
    return search(dataset, TrialSettings.parse(document, "test"), folder)


def final_logits(folder: Path) -> dict[str, Tensor]:
    """Alpha and beta at the end of the search, not of its best epoch."""
    state = torch.load(folder / "state" / "last.ckpt", weights_only=True)["state_dict"]
    return {label: state[f"logits.{label}"] for label in ("pruning", "depth")}


@pytest.fixture(scope="module")
def cyclic_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """60 users who cycle through 40 items from different starts; width helps to learn it."""
    folder = tmp_path_factory.mktemp("cyclic")
    rows = [f"u{user},i{(7 * user + step) % 40},{step}" for user in range(60) for step in range(14)]
    log = folder / "cyclic.csv"
    log.write_text("\n".join(["user,item,time", *rows]) + "\n", encoding="utf-8")
    return prepare(log, folder / "prepared")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_very_large_lambda_ends_at_the_smallest_architecture_and_none_lets_the_cost_rise(
    cyclic_dataset: Dataset, tmp_path: Path, seed: int
) -> None:
    space = {"hidden": 16, "inner": 32, "dropout": 0.0}
    options = {"epochs": 5, "arch_batch_size": 30, "learning_rate": 0.01, "arch_learning_rate": 0.1}
    ends = {}
    for name, lambda_ in (("strict", 1000.0), ("free", 0.0)):
        result = run(cyclic_dataset, tmp_path / name, seed, space, **{"lambda": lambda_}, **options)
        ends[name] = result.history[-1]
        # The last row tells where the logits ended, which need not be the best epoch that is exported.
        for label, logits in final_logits(tmp_path / name).items():
            entropy = float(torch.special.entr(logits.softmax(0)).sum())
            assert ends[name][f"entropy_{label}"] == pytest.approx(entropy, rel=1e-5)
    costs = [cost for row in cost_table(result.architecture.space).values() for cost in row.values()]
    strict, free = ends["strict"], ends["free"]
    assert (strict["hidden_pruning"], strict["inner_pruning"], strict["depth"]) == (0.5, 0.5, 1)
    assert strict["argmax_cost"] == pytest.approx(min(costs))
    assert strict["expected_cost"] < min(costs) + 0.1 * (max(costs) - min(costs))
    # At first all architectures are as probable: the mean of the table. Where nothing is asked of it, the cost rises.
    assert free["expected_cost"] > sum(costs) / len(costs)
    assert free["hidden_pruning"] == 0


@pytest.mark.slow
def test_without_lambda_the_cost_table_has_no_influence_and_with_it_it_has(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    ends = {}
    for lambda_ in (0.0, 1.0):
        for form in ("cumulative", "printed"):
            folder = tmp_path / f"{form}{lambda_}"
            options = {"constraint": form, "arch_loss": "calibrated", "lambda": lambda_}
            run(tiny_dataset, folder, epochs=1, arch_learning_rate=0.1, **options)
            ends[form, lambda_] = final_logits(folder)
    for label in ("pruning", "depth"):
        assert torch.equal(ends["cumulative", 0.0][label], ends["printed", 0.0][label])
    assert not torch.equal(ends["cumulative", 1.0]["depth"], ends["printed", 1.0]["depth"])


class Record:
    """Record of the events of a search, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.modules: list[EASRecModule] = []
        self.events: list[str] = []
        self.temperatures: list[float] = []
        self.changed: list[tuple[bool, bool]] = []  # whether the weights, and alpha and beta, moved in an iteration
        self.depths: list[tuple[int, int]] = []  # L_t in use, and the strongest depth then
        self.constrained: list[bool] = []  # whether the constraint saw the draw that mixed the network
        original_step = EASRecModule.training_step
        original_advance, original_arch = EASRecModule.advance_optimization, EASRecModule._architecture_step
        original_draw = Selection.draw

        def training_step(module: EASRecModule, batch: Any, batch_idx: int) -> Tensor:
            if module not in self.modules:
                self.modules.append(module)
                self._spy_on_constraint(module, monkeypatch)
            before = self._state(module)
            loss = original_step(module, batch, batch_idx)
            after = self._state(module)
            self.changed.append((not torch.equal(before[0], after[0]), not torch.equal(before[1], after[1])))
            self.temperatures.append(module.selection.temperature)
            return loss

        def advance(module: EASRecModule, *arguments: Any, **options: Any) -> None:
            self.events.append("weights")
            before = self._state(module)[1]
            original_advance(module, *arguments, **options)
            assert torch.equal(before, self._state(module)[1])  # a step of the weights leaves alpha and beta alone

        def architecture_step(module: EASRecModule, *arguments: Any) -> None:
            self.events.append("architecture")
            before = self._state(module)[0]
            logits, depths = module.selection.logits["depth"].tolist(), module.selection.options["depth"]
            strongest = [d for d, logit in zip(depths, logits, strict=True) if logit == max(logits)][-1]
            original_arch(module, *arguments)
            self.depths.append((module.depth_now, int(str(strongest))))
            assert torch.equal(before, self._state(module)[0])  # and the other way round

        def draw(selection: Selection, differentiable: bool = True) -> dict[str, Tensor]:
            self.events.append("draw")
            return original_draw(selection, differentiable)

        monkeypatch.setattr(EASRecModule, "training_step", training_step)
        monkeypatch.setattr(EASRecModule, "advance_optimization", advance)
        monkeypatch.setattr(EASRecModule, "_architecture_step", architecture_step)
        monkeypatch.setattr(Selection, "draw", draw)

    def _spy_on_constraint(self, module: EASRecModule, monkeypatch: pytest.MonkeyPatch) -> None:
        original = module.constraint

        def constraint(weights: Any, depth: int) -> Tensor:
            self.constrained.append(weights is module.selection.weights and depth == module.depth_now)
            return original(weights, depth)

        constraint.depths, constraint.depth_label = original.depths, original.depth_label  # type: ignore[attr-defined]
        constraint.expected, constraint.factor = original.expected, original.factor  # type: ignore[attr-defined]
        monkeypatch.setattr(module, "constraint", constraint)

    @staticmethod
    def _state(module: EASRecModule) -> tuple[Tensor, Tensor]:
        weights = torch.cat([weight.detach().flatten() for weight in module.model.parameters()])
        return weights, torch.cat([logits.detach().flatten() for logits in module.selection.logits.values()])


@pytest.mark.parametrize("every", [1, 3])
def test_an_iteration_is_that_of_algorithm_1(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    record = Record(monkeypatch)
    decay = 0.013
    result = run(
        tiny_dataset,
        tmp_path,
        arch_every=every,
        epochs=3,
        arch_learning_rate=0.2,
        temperature={"start": 0.8, "end": 0.5, "decay": decay},
    )
    iterations = len(record.changed)
    assert iterations % 3 == 0 and iterations > 12  # three epochs, of several iterations each
    # Every iteration the weights take one step, every f-th one alpha and beta do, and each step draws once (noted at
    # their begin: a step of alpha and beta draws inside, one of the weights before).
    expected = [["draw", "weights"] + (["architecture", "draw"] if t % every == 0 else []) for t in range(iterations)]
    assert record.events == [event for events in expected for event in events]
    assert record.changed == [(True, t % every == 0) for t in range(iterations)]
    # The temperature counts iterations, across epochs.
    assert record.temperatures == pytest.approx([max(0.5, 0.8 - decay * t) for t in range(iterations)])
    assert result.history[-1]["temperature"] == pytest.approx(record.temperatures[-1])
    # L_t is refreshed right before alpha and beta take their step, and moves with beta.
    assert all(used == strongest for used, strongest in record.depths)
    assert len(record.depths) == len(record.constrained) == -(-iterations // every)
    assert all(record.constrained)


@pytest.mark.slow
def test_l_t_follows_beta(tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record(monkeypatch)
    run(tiny_dataset, tmp_path, epochs=3, arch_learning_rate=0.5, **{"lambda": 5.0})
    assert len({used for used, _ in record.depths}) > 1
    assert all(used == strongest for used, strongest in record.depths)


def test_users_that_train_alpha_and_beta_do_not_select(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[int]] = {"architecture": set(), "selection": set()}
    targets: dict[str, list[int]] = {"architecture": [], "selection": []}
    original, original_arch = EvaluationBatches.__iter__, ArchitectureBatches.__iter__
    inside: list[bool] = []

    def architecture(batches: ArchitectureBatches) -> Any:
        iterator = original_arch(batches)
        while True:
            inside.append(True)
            try:
                batch = next(iterator)
            except StopIteration:
                return
            finally:
                inside.pop()
            yield batch

    def evaluation(batches: EvaluationBatches) -> Any:
        kind = "architecture" if inside else "selection"
        for batch in original(batches):
            seen[kind].update(batch.rows.tolist())
            targets[kind].extend(batch.targets.tolist())
            yield batch

    monkeypatch.setattr(EvaluationBatches, "__iter__", evaluation)
    monkeypatch.setattr(ArchitectureBatches, "__iter__", architecture)
    original_losses = OptionLosses.__call__

    def losses(*arguments: Any) -> Any:  # looks at the targets that train alpha and beta once more
        inside.append(True)
        try:
            return original_losses(*arguments)
        finally:
            inside.pop()

    monkeypatch.setattr(OptionLosses, "__call__", losses)
    run(tiny_dataset, tmp_path, epochs=2, arch_share=0.25)
    split = tiny_dataset.split
    assert seen["architecture"] and seen["selection"]
    assert not seen["architecture"] & seen["selection"]
    assert len(seen["architecture"]) == round(0.25 * len(split.test.users))
    assert seen["architecture"] | seen["selection"] == set(range(len(split.test.users)))
    # All of them are validation targets: the search never meets a test target.
    for kind, rows in zip(seen, validation_rows(tiny_dataset, 0.25), strict=True):
        valid = tiny_dataset.items[split.valid.places[rows]]
        assert set(targets[kind]) == set(valid.tolist())


def test_the_search_exports_the_best_epoch_if_asked_for(tiny_dataset: Dataset, tmp_path: Path) -> None:
    result = run(tiny_dataset, tmp_path, epochs=4, arch_learning_rate=0.3, export="best_epoch")
    scores = [row["ndcg@10_full"] for row in result.history]
    best = result.history[scores.index(max(scores))]
    choices = result.architecture.choices
    assert (choices.hidden_pruning, choices.inner_pruning, choices.depth) == (
        best["hidden_pruning"],
        best["inner_pruning"],
        best["depth"],
    )
    # The kept logits are that epoch's.
    weights = read_weights(result.supernet)
    depth = result.architecture.space.depths[int(weights[f"{LOGITS}depth"].argmax())]
    assert depth == best["depth"]


@pytest.mark.parametrize("decided", [True, False])
def test_a_search_stops_when_it_has_decided_and_its_patience_is_over(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decided: bool
) -> None:
    # Without steps of alpha and beta, and with ones this small of the weights, nothing gains after the first epoch.
    monkeypatch.setattr("easrec_nni.searching.one_shot.is_decided", lambda entropies: decided)
    result = run(tiny_dataset, tmp_path, epochs=8, patience=3, learning_rate=1e-12, arch_every=10_000)
    assert len(result.history) == (4 if decided else 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "space, options, mode",
    [
        ({"supernet": "independent", "direction": "bidirectional", "key_norm": "column"}, {}, "augmented"),
        ({"attention": "softmax", "gates_from": 1, "gate_layers": 1}, {"noise": False, "dynamic": False}, "causal"),
        ({"min_depth": 2}, {"constraint": "printed"}, "causal"),
        ({"hidden_pruning": [0.5], "inner_pruning": [0]}, {}, "causal"),
    ],
    ids=["paper", "softmax", "one depth", "one candidate"],
)
def test_every_kind_of_space_can_be_searched(
    tiny_dataset: Dataset, tmp_path: Path, space: dict[str, Any], options: dict[str, Any], mode: str
) -> None:
    document = {
        "data": "x",
        "mode": mode,
        "space": SPACE | {"layers": 2} | space,
        "search": SEARCH | {"epochs": 1} | options,
    }
    result = search(tiny_dataset, TrialSettings.parse(document, "test"), tmp_path)
    assert result.architecture.choices in result.architecture.space.architectures()
    assert result.history[0]["train_loss"] > 0


def test_strategy_prints_itself_readably() -> None:
    assert repr(EASRec(cost_table={}, lambda_=0.5, arch_every=2)) == (
        "EASRec(lambda=0.5, arch_every=2, dynamic=True, noise=True)"
    )
