"""Contract of every differentiable strategy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from easrec_nni.architecture.weights import LOGITS, read_weights
from easrec_nni.data import Dataset
from easrec_nni.searching.stage import SearchResult, search
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.module import SequenceModule
from search_spaces import EASRecSpace, SpaceConfig
from search_spaces.attention import ATTENTIONS, BIDIRECTIONAL_ONLY
from strategies import STRATEGIES, DifferentiableStrategy, TemperatureSchedule
from strategies.differentiable import DifferentiableModule

SPACE: dict[str, Any] = {
    "max_length": 6,
    "hidden": 8,
    "inner": 16,
    "heads": 2,
    "layers": 2,
    "hidden_pruning": [0, 0.5],
    "inner_pruning": [0, 0.5],
    "supernet": "shared",
}
# tau falls fast enough that RecNAS drops options before the kill.
SEARCH: dict[str, Any] = {
    "epochs": 4,
    "warmup_epochs": 1,
    "batch_size": 8,
    "arch_learning_rate": 0.1,
    "arch_batch_size": 8,
    "lambda": 0.5,
}
SEARCH |= {"temperature": {"decay": 0.05, "end": 0.05}}

ALPHA, BETA = [0.3, -0.8, 0.5], [0.7, -0.4, 0.2]


@pytest.fixture(params=STRATEGIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def set_logits(strategy: DifferentiableStrategy, alpha: list[float], beta: list[float]) -> None:
    assert strategy.selection is not None
    with torch.no_grad():
        for label, values in (("pruning", alpha), ("depth", beta)):
            strategy.selection.logits[label].copy_(torch.tensor(values))


def test_a_huge_lambda_ends_at_the_smallest_architecture_and_none_at_the_best_one(
    name: str, cost_table: Any, search_sums: Any
) -> None:
    ends, costs = {}, {}
    for lambda_ in (0.0, 1000.0):
        strategy = STRATEGIES[name](
            cost_table, lambda_=lambda_, arch_learning_rate=0.25, temperature=TemperatureSchedule(decay=0.012, end=0.05)
        )
        search_sums(strategy, 80)
        assert strategy.selection is not None
        ends[lambda_] = strategy.selection.sample()
        probabilities = strategy.selection.probabilities()
        costs[lambda_] = float(strategy.oneshot_module.constraint.expected(probabilities))
        assert all(float(p.sum()) == pytest.approx(1) for p in probabilities.values())
    assert ends == {0.0: {"pruning": "wide", "depth": 3}, 1000.0: {"pruning": "narrow", "depth": 1}}
    # The expectation over the architectures is on its way there too: it began at the table's mean.
    assert costs[0.0] > 0.6 > 0.36 > 0.2 > costs[1000.0]


@pytest.mark.parametrize("tau", [1.0, 0.4])
def test_gradient_of_the_resource_term_is_that_of_finite_differences(
    name: str, tau: float, cost_table: Any, sums: Any, soften: Any
) -> None:
    strategy = STRATEGIES[name](cost_table)
    module = soften(strategy, sums())
    set_logits(strategy, ALPHA, BETA)
    selection = module.selection
    selection.logits.double()
    selection.temperature = tau

    def resource(seed: int) -> Tensor:
        torch.manual_seed(seed)  # the same noise or path every time
        return module.resource(selection.draw())

    total = 0.0
    for seed in range(3):
        gradients = torch.autograd.grad(resource(seed), list(selection.logits.values()))
        for logits, gradient in zip(selection.logits.values(), gradients, strict=True):
            for index in range(len(logits)):
                sides = []
                for sign in (1, -1):
                    with torch.no_grad():
                        logits[index] += sign * 1e-6
                        sides.append(resource(seed).item())
                        logits[index] -= sign * 1e-6
                expected = (sides[0] - sides[1]) / 2e-6
                assert gradient[index].item() == pytest.approx(expected, rel=1e-5, abs=1e-8)
                total += abs(expected)
    assert total > 0.1


def test_the_constraint_is_static_unless_it_is_easrecs(name: str, cost_table: Any, sums: Any, soften: Any) -> None:
    # The strongest depth is 1 of 3: EASRec's L_t / L makes a third of the constraint, the others' do not change.
    values = []
    for beta in ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]):
        module = soften(STRATEGIES[name](cost_table), sums())
        set_logits(module.settings, ALPHA, beta)
        if name == "easrec":
            module.depth_now = module._strongest_depth()
        uniform = {"pruning": torch.full((3,), 1 / 3), "depth": torch.full((3,), 1 / 3)}
        module.selection.path_probabilities = uniform  # what ProxylessNAS reads instead
        values.append(float(module.resource(uniform)))
    mean = sum(cost for row in cost_table.values() for cost in row.values()) / 9
    assert values == pytest.approx([mean / 3, mean] if name == "easrec" else [mean, mean])


@pytest.mark.parametrize("candidate", [0, 2])
@pytest.mark.parametrize("depth", [1, 3])
def test_while_it_validates_the_strongest_network_runs_alone(
    name: str, candidate: int, depth: int, cost_table: Any, sums: Any, soften: Any
) -> None:
    space = sums()
    module = soften(STRATEGIES[name](cost_table), space)
    set_logits(module.settings, [float(i == candidate) for i in range(3)], [float(i + 1 == depth) for i in range(3)])
    module.selection.draw()
    module.on_validation_epoch_start()
    module.validation_step(torch.zeros(1), 0)
    assert module.training_module.validated == pytest.approx([depth * (0.1, 0.5, 1.0)[candidate]])
    calls = [[sum(add.calls) for add in layer.values()] for layer in space.adds()]
    assert calls == [[int(layer < depth and index == candidate) for index in range(3)] for layer in range(3)]
    module.on_validation_epoch_end()
    assert not module.selection.hard


@pytest.mark.parametrize("options", [{"depth": (2, 2)}, {"names": ("wide",)}, {"depth": (2, 3)}], ids=str)
def test_a_choice_may_have_one_option_and_depths_may_begin_late(
    name: str, options: dict[str, Any], cost_table: Any, sums: Any, search_sums: Any
) -> None:
    space = sums(**options)
    strategy = STRATEGIES[name](cost_table, lambda_=0.0, arch_learning_rate=0.25)
    search_sums(strategy, 25, space)
    assert strategy.selection is not None
    sample = strategy.selection.sample()
    assert sample["pruning"] == "wide"
    assert sample.get("depth", 2) == options.get("depth", (1, 3))[1]


def test_alpha_and_beta_step_every_f_iterations(
    name: str, cost_table: Any, search_sums: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = STRATEGIES[name].module_type
    original, steps = cls._architecture_step, []

    def step(module: Any, *arguments: Any) -> None:
        before = torch.cat([logits.detach().clone() for logits in module.logits.values()])
        original(module, *arguments)
        after = torch.cat([logits.detach() for logits in module.logits.values()])
        steps.append((module.iteration, not torch.equal(before, after)))

    monkeypatch.setattr(cls, "_architecture_step", step)
    search_sums(STRATEGIES[name](cost_table, arch_every=3, arch_learning_rate=0.01), 8, epochs=2)
    assert steps == [(0, True), (3, True), (6, True)]


class Killed(Exception):
    """Raised at the end of an epoch before it is saved, to interrupt a run."""


def run(dataset: Dataset, folder: Path, name: str, kill_in: int | None = None, epochs: int = 4) -> SearchResult:
    search_options = SEARCH | {"strategy": name, "epochs": epochs}
    document = {"data": str(dataset.path), "space": SPACE, "search": search_options}

    def kill(row: dict[str, float]) -> None:
        if row["epoch"] == kill_in:
            raise Killed

    return search(dataset, TrialSettings.parse(document, "test"), folder, on_epoch=kill)


def test_two_epochs_end_at_an_architecture_of_the_space_and_alike_every_time(
    tiny_dataset: Dataset, tmp_path: Path, name: str
) -> None:
    first, again = (run(tiny_dataset, tmp_path / folder, name, epochs=2) for folder in ("one", "two"))
    config = first.architecture.space
    assert first.architecture.choices in config.architectures()
    assert first.architecture == again.architecture and len(first.history) == 2
    weights, others = read_weights(first.supernet), read_weights(again.supernet)
    assert weights.keys() == others.keys()
    for key, weight in weights.items():
        assert weight.isfinite().all() or key.startswith(LOGITS), key
        torch.testing.assert_close(weight, others[key], rtol=0, atol=0)
    repeated = run(tiny_dataset, tmp_path / "one", name, epochs=2)
    assert str(repeated.history) == str(first.history), "not searched again, by the seconds that it took"


@pytest.mark.slow
def test_a_killed_search_ends_as_an_unbroken_one_and_exports_what_its_logits_say(
    tiny_dataset: Dataset, tmp_path: Path, name: str
) -> None:
    unbroken = run(tiny_dataset, tmp_path / "unbroken", name)
    with pytest.raises(Killed):
        run(tiny_dataset, tmp_path / "broken", name, kill_in=2)
    # Lightning reads it again without executing anything that it holds.
    state = torch.load(tmp_path / "broken" / "state" / "last.ckpt", weights_only=True)
    dropped = sum(int((state["state_dict"][f"logits.{label}"] == -math.inf).sum()) for label in ("pruning", "depth"))
    assert (dropped > 0) == (name == "recnas")
    assert state["easrec"]["iteration"] > 0
    resumed = run(tiny_dataset, tmp_path / "broken", name)
    assert resumed.architecture == unbroken.architecture
    ends = [
        torch.load(tmp_path / folder / "state" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in ("unbroken", "broken")
    ]
    assert ends[0].keys() == ends[1].keys()
    for key, weight in ends[0].items():
        torch.testing.assert_close(ends[1][key], weight, rtol=0, atol=0)
    expected, actual = read_weights(unbroken.supernet), read_weights(resumed.supernet)
    for key in expected:
        torch.testing.assert_close(actual[key], expected[key], rtol=0, atol=0)
    for label, probabilities in resumed.architecture.probabilities.items():
        logits = ends[1][f"logits.{label}"]  # of the last epoch; the weights are of the best one with that architecture
        assert list(probabilities.values()) == pytest.approx(logits.double().softmax(-1).tolist(), rel=1e-5)
        assert len(actual[f"{LOGITS}{label}"]) == len(logits)
        assert sum(probabilities.values()) == pytest.approx(1)
    figures = [(row["warmup"], name, value) for row in resumed.history for name, value in row.items()]
    steps = ("architecture_loss", "constraint")  # alpha and beta take none in the warm-up
    assert all(math.isfinite(value) != (warmup == 1 and name in steps) for warmup, name, value in figures)
    rows = [[{**row, "seconds": 0.0} for row in result.history] for result in (unbroken, resumed)]
    assert str(rows[0]) == str(rows[1]) and len(rows[0]) == 4


# What a strategy says beside lambda and arch_every. One that is registered without a text here fails.
TEXTS = {
    "easrec": "EASRec({}, dynamic=True, noise=True)",
    "darts": "DARTS({})",
    "gumbeldarts": "GumbelDARTS({})",
    "proxylessnas": "ProxylessNAS({})",
    "recnas": "RecNAS({}, drop_below=0.1)",
}


def test_strategies_print_themselves_readably(name: str) -> None:
    text = TEXTS[name].format("lambda=0.5, arch_every=2")
    assert repr(STRATEGIES[name]({}, lambda_=0.5, arch_every=2)) == text


def test_impossible_and_unknown_options_are_refused(name: str) -> None:
    make: Callable[..., DifferentiableStrategy] = STRATEGIES[name]
    with pytest.raises(ValueError, match="arch_every must be 1 or more, got 0"):
        make({}, arch_every=0)
    with pytest.raises(ValueError, match="lambda_ must be 0 or more, got -1"):
        make({}, lambda_=-1.0)
    with pytest.raises(TypeError, match="lamda"):
        make({}, lamda=1.0)


def test_paths_are_drawn_evenly_whatever_alpha_and_beta_are(name: str, cost_table: Any, sums: Any, soften: Any) -> None:
    module = soften(STRATEGIES[name](cost_table), sums())
    with torch.no_grad():
        for logits in module.selection.logits.values():
            logits.copy_(torch.tensor([9.0, 0.0, -9.0]))
    torch.manual_seed(0)
    drawn = Counter()
    for _ in range(1800):
        weights = module.selection.draw_evenly()
        assert all(sorted(w.tolist()) == [0, 0, 1] and not w.requires_grad for w in weights.values())
        drawn[tuple(int(w.argmax()) for w in weights.values())] += 1
    assert len(drawn) == 9
    assert chisquare(list(drawn.values())).pvalue > 0.001


def test_a_path_runs_alone_and_trains_its_weights(name: str, cost_table: Any, sums: Any, soften: Any) -> None:
    numbers = [0.1, 0.5, 1.0]
    space = sums()
    module = soften(STRATEGIES[name](cost_table), space)
    torch.manual_seed(1)
    for _ in range(20):
        weights = module.selection.draw_evenly()
        width, depth = (int(weights[label].argmax()) for label in ("pruning", "depth"))
        space.zero_grad()
        output = space(torch.zeros(1))
        assert output.item() == pytest.approx((depth + 1) * numbers[width])
        output.sum().backward()
        for layer, adds in enumerate(space.adds()):
            for index, add in enumerate(adds.values()):
                gradient = 0.0 if add.number.grad is None else float(add.number.grad)
                assert gradient == (1.0 if layer <= depth and index == width else 0.0)


def test_alpha_beta_and_the_temperature_begin_after_the_warmup(
    name: str, cost_table: Any, search_sums: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bool, float, float]] = []
    original = DifferentiableModule.training_step

    def step(module: DifferentiableModule, batch: Any, batch_idx: int) -> Tensor:
        before = [logits.detach().clone() for logits in module.logits.values()]
        loss = original(module, batch, batch_idx)
        moved = any(not torch.equal(a, b) for a, b in zip(before, module.logits.values(), strict=True))
        one_hot = float(min(weights.detach().max() for weights in module.selection.weights.values()))
        seen.append((module.current_epoch, moved, module.selection.temperature, one_hot))
        return loss

    monkeypatch.setattr(DifferentiableModule, "training_step", step)
    strategy = STRATEGIES[name](
        cost_table, warmup_epochs=2, arch_learning_rate=0.1, temperature=TemperatureSchedule(decay=0.1)
    )
    search_sums(strategy, 12, epochs=4)
    assert [moved for _, moved, _, _ in seen] == [epoch >= 2 for epoch, *_ in seen] and len(seen) == 12
    assert all(one_hot == 1.0 for epoch, _, _, one_hot in seen if epoch < 2)
    falls = name in ("easrec", "gumbeldarts", "recnas")
    expected = [1.0] * 6 + [1 - 0.1 * t if falls else 1.0 for t in range(6)]
    assert [temperature for *_, temperature, _ in seen] == pytest.approx(expected)


def test_option_costs_are_lambda_times_the_expected_cost(name: str, cost_table: Any, sums: Any, soften: Any) -> None:
    module = soften(STRATEGIES[name](cost_table, lambda_=0.3), sums())
    with torch.no_grad():
        module.logits["pruning"].copy_(torch.tensor([0.3, -0.8, 0.5]))
        module.logits["depth"].copy_(torch.tensor([0.7, -0.4, 0.2]))
    factor = 1.0
    if name == "easrec":
        module.depth_now, factor = 2, 2 / 3
    p, q = (module.logits[label].softmax(0).tolist() for label in ("pruning", "depth"))
    table = [[cost_table[width][depth] for depth in (1, 2, 3)] for width in ("narrow", "middle", "wide")]
    costs = module.option_costs()
    for j in range(3):
        expected = 0.3 * factor * sum(p[i] * table[i][j] for i in range(3))
        assert costs["depth"][j] == pytest.approx(expected, rel=1e-5)
        expected = 0.3 * factor * sum(q[k] * table[j][k] for k in range(3))
        assert costs["pruning"][j] == pytest.approx(expected, rel=1e-5)


def test_a_negative_warmup_is_refused(name: str, cost_table: Any) -> None:
    with pytest.raises(ValueError, match="warmup_epochs must be 0 or more, got -1"):
        STRATEGIES[name](cost_table, warmup_epochs=-1)


SIZES: dict[str, Any] = {"n_items": 20, "max_length": 8, "hidden": 8, "inner": 16, "heads": 2, "layers": 3}
IDS = torch.tensor([[0, 0, 3, 7, 2, 1], [5, 1, 2, 3, 4, 9], [0, 0, 0, 0, 0, 6], [8, 8, 1, 0, 0, 0]])


def supernet_of(name: str, **changes: Any) -> tuple[EASRecSpace, Any]:
    torch.manual_seed(3)
    space = EASRecSpace(SpaceConfig(**{**SIZES, "dropout": 0.0, **changes})).double()
    strategy = STRATEGIES[name](cost_table={})
    strategy.mutate_model(space)
    selection: Any = strategy.selection
    with torch.no_grad():
        for logits in selection.logits.values():
            logits.copy_(torch.randn(len(logits)))
    return space, selection


@pytest.mark.parametrize("supernet", ["shared", "independent"])
@pytest.mark.parametrize("attention", [name for name in ATTENTIONS if name not in BIDIRECTIONAL_ONLY])
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_newest_position_alone_has_the_state_and_gradients_that_it_has_among_all(
    name: str, supernet: str, attention: str
) -> None:
    space, selection = supernet_of(name, supernet=supernet, attention=attention, direction="causal")
    selection.draw()
    batch = space.embedding.embed(IDS)
    all_positions = batch.newest(space.layers(None, batch))[:, 0]
    newest = space.newest_state(IDS)
    torch.testing.assert_close(newest, all_positions)
    logits = list(selection.logits.values())
    factors = torch.randn_like(newest)
    gradients = [
        torch.autograd.grad((states * factors).sum(), logits, retain_graph=True) for states in (newest, all_positions)
    ]
    for newest_gradient, full_gradient in zip(*gradients, strict=True):
        torch.testing.assert_close(newest_gradient, full_gradient)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_argmax_network_gives_the_newest_state_alone(depth: int) -> None:
    space, selection = supernet_of("easrec", supernet="shared")
    with torch.no_grad():
        selection.logits["depth"].copy_(torch.eye(3)[depth - 1])
    selection.hard = True
    ended = []
    space.layers.origin.blocks[depth - 1].register_forward_hook(lambda module, inputs, output: ended.append(output))
    states, newest = space.states(IDS), space.newest_state(IDS)
    torch.testing.assert_close(newest, space.embedding.embed(IDS).newest(states)[:, 0])
    assert [output.shape[1] for output in ended] == [6, 1], "all positions for states(), the newest for newest_state()"


@pytest.mark.parametrize("name", STRATEGIES)
def test_weights_are_constants_in_a_step_of_the_architecture_and_learn_again_after_it(
    name: str, tiny_dataset: Dataset, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[bool, list[set[bool]]] = {True: [], False: []}
    step = SequenceModule.in_micro_batches

    def spy(module: SequenceModule, loss_of: Any, batch: Any) -> Tensor:
        loss = step(module, loss_of, batch)
        seen[batch.targets.dim() == 1].append({weight.requires_grad for weight in module.model.parameters()})
        return loss

    monkeypatch.setattr(SequenceModule, "in_micro_batches", spy)
    sizes = {key: value for key, value in SIZES.items() if key != "n_items"}
    document = {"data": str(tiny_dataset.path), "space": {**sizes, "supernet": "shared"}}
    options = {"strategy": name, "epochs": 1, "batch_size": 8, "arch_learning_rate": 0.1}
    result = search(tiny_dataset, TrialSettings.parse({**document, "search": options}, "test"), tmp_path)
    assert seen[True] and all(flags == {False} for flags in seen[True]), "one target a user: the architecture's step"
    assert seen[False] and all(flags == {True} for flags in seen[False])
    values = [value for name, value in result.history[0].items() if name.startswith("alpha_")]
    assert max(values) > min(values), "alpha has moved"


def test_a_step_that_fails_leaves_the_weights_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    from strategies.differentiable import _frozen_weights

    module = torch.nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    with pytest.raises(ZeroDivisionError), _frozen_weights(module):
        assert not module.weight.requires_grad
        raise ZeroDivisionError
    assert module.weight.requires_grad and not module.bias.requires_grad, "what was a constant before stays one"
