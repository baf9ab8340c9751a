"""Soft choices of an NNI space: what each mixed module computes, from which weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nni.mutable import Numerical
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableModule, Repeat
from torch import Tensor, nn

from search_spaces import EASRecSpace, SpaceConfig
from strategies import EASRec, Selection
from strategies.supernet import MixedChoice, MixedDepth, space_choices


class Add(nn.Module):
    """Module that adds a number and counts its calls."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.number


class Toy(ModelSpace):
    """Space of plain NNI modules without ``mix``: x + 1, x + 10 or x + 100 per layer."""

    def __init__(self, depth: tuple[int, int] = (1, 3)) -> None:
        super().__init__()
        self.layers = Repeat(
            lambda index: LayerChoice({"one": Add(1), "ten": Add(10), "hundred": Add(100)}, label="pruning"),
            depth,
            label="depth",
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result

    def adds(self) -> list[dict[str, Add]]:
        layers = getattr(self.layers, "origin", self.layers)
        origins = [getattr(layer, "origin", layer) for layer in layers.blocks]
        return [{name: origin[name] for name in origin.names} for origin in origins]


def soften(space: ModelSpace, noise: bool = True) -> Selection:
    strategy = EASRec(cost_table={}, noise=noise)
    assert strategy.mutate_model(space) is space
    assert strategy.selection is not None
    return strategy.selection


def test_toy_space_gives_the_sum_of_prefixes() -> None:
    space = Toy()
    selection = soften(space)
    assert selection.options == {"pruning": ["one", "ten", "hundred"], "depth": [1, 2, 3]}
    p, q = torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.5, 0.3, 0.2])
    selection.weights = {"pruning": p, "depth": q}
    # Each layer adds 0.2 + 3 + 50 to what it gets, and depth j has j layers.
    step = 0.2 * 1 + 0.3 * 10 + 0.5 * 100
    expected = 7 + step * (0.5 * 1 + 0.3 * 2 + 0.2 * 3)
    assert space(torch.tensor([7.0])).item() == pytest.approx(expected, rel=1e-6)


def test_depths_below_the_smallest_are_run_but_not_read() -> None:
    space = Toy(depth=(2, 3))
    selection = soften(space)
    selection.weights = {"pruning": torch.tensor([1.0, 0.0, 0.0]), "depth": torch.tensor([0.25, 0.75])}
    assert space(torch.tensor([0.0])).item() == pytest.approx(0.25 * 2 + 0.75 * 3)


def test_gradients_of_the_toy_space_are_those_of_its_formula() -> None:
    space = Toy()
    selection = soften(space)
    weights = {"pruning": torch.tensor([0.2, 0.3, 0.5]), "depth": torch.tensor([0.5, 0.3, 0.2])}
    selection.weights = {label: weight.requires_grad_() for label, weight in weights.items()}
    p, q = torch.autograd.grad(space(torch.tensor([0.0])).sum(), list(weights.values()))
    # d/dp_i = number_i * sum_j j q_j at x = 0, plus what x itself is weighted with: every T^(l) has sum_i p_i T^(l-1).
    layers = [torch.zeros(())]
    alpha, beta = (weights[label].detach().clone().requires_grad_() for label in ("pruning", "depth"))
    for _ in range(3):
        layers.append(sum(a * (layers[-1] + n) for a, n in zip(alpha.unbind(), (1, 10, 100), strict=True)))
    total = sum(b * layer for b, layer in zip(beta.unbind(), layers[1:], strict=True))
    expected = torch.autograd.grad(total, [alpha, beta])
    torch.testing.assert_close((p, q), expected)


@pytest.mark.parametrize("candidate", [0, 1, 2])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_hard_selection_runs_the_strongest_candidate_of_the_strongest_depth_alone(candidate: int, depth: int) -> None:
    space = Toy()
    selection = soften(space)
    with torch.no_grad():
        selection.logits["pruning"][candidate] = 0.1
        selection.logits["depth"][depth - 1] = 0.1
    selection.hard = True
    number = (1, 10, 100)[candidate]
    assert space(torch.tensor([5.0])).item() == 5 + depth * number
    calls = [[add.calls for add in layer.values()] for layer in space.adds()]
    assert calls == [[int(layer < depth and index == candidate) for index in range(3)] for layer in range(3)]


def test_layers_without_weight_are_not_run() -> None:
    space = Toy()
    selection = soften(space)
    selection.weights = {"pruning": torch.full((3,), 1 / 3), "depth": torch.tensor([0.5, 0.5, 0.0])}
    space(torch.tensor([0.0]))
    assert [next(iter(layer.values())).calls for layer in space.adds()] == [1, 1, 0]


def spy_on_weights(space: EASRecSpace, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Record the mixture weights of each layer, in the order of the calls."""
    seen: list[Tensor] = []
    for candidates in space.blocks():
        original = candidates.mix

        def mix(weights: Tensor, *inputs: Any, original: Any = original) -> Tensor:
            seen.append(weights)
            result: Tensor = original(weights, *inputs)
            return result

        monkeypatch.setattr(candidates, "mix", mix)
    return seen


def small_space(**options: Any) -> EASRecSpace:
    sizes: dict[str, Any] = {"n_items": 12, "max_length": 5, "hidden": 8, "inner": 16, "heads": 2, "layers": 3}
    return EASRecSpace(SpaceConfig(**sizes | options)).eval()


@pytest.mark.parametrize("supernet", ["independent", "shared"])
def test_one_draw_serves_all_layers_and_is_what_the_constraint_gets(
    supernet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = small_space(supernet=supernet)
    selection = soften(space)
    seen = spy_on_weights(space, monkeypatch)
    ids = torch.tensor([[1, 2, 3]])
    drawn = selection.draw()
    space(ids)
    # The very same tensor in each of the three layers, and the one that draw() hands to the constraint.
    assert len(seen) == 3
    assert all(weights is drawn["pruning"] for weights in seen)
    # A second forward pass of the same update sees the same draw; only another draw changes it.
    space(ids)
    assert all(weights is drawn["pruning"] for weights in seen)
    again = selection.draw()
    space(ids)
    assert all(weights is again["pruning"] for weights in seen[6:])
    assert not torch.equal(again["pruning"], drawn["pruning"])


def test_hard_selection_of_the_space_runs_one_candidate_of_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    space = small_space()
    selection = soften(space)
    with torch.no_grad():
        selection.logits["pruning"][5] = 1
        selection.logits["depth"][1] = 1
    calls: list[tuple[int, str]] = []
    for layer, candidates in enumerate(space.blocks(), start=1):
        for name in candidates.names:
            candidates[name].register_forward_hook(lambda *_, place=(layer, name): calls.append(place))
    selection.hard = True
    space(torch.tensor([[1, 2, 3]]))
    assert calls == [(1, selection.options["pruning"][5]), (2, selection.options["pruning"][5])]


@pytest.mark.parametrize("space", [Toy(), small_space(), small_space(supernet="shared")], ids=["toy", "own", "shared"])
def test_nothing_of_the_space_is_left_without_a_strategy(space: ModelSpace) -> None:
    choices = space_choices(space)
    soften(space)
    mixed = [module for module in space.modules() if isinstance(module, MixedChoice | MixedDepth)]
    origins = [module.origin for module in mixed]
    for module in space.modules():
        if isinstance(module, LayerChoice | Repeat):
            assert sum(module is origin for origin in origins) == 1
    assert sum(isinstance(module, MixedDepth) for module in mixed) == 1
    assert sum(isinstance(module, MixedChoice) for module in mixed) == 3
    # Still the same space for NNI.
    assert space_choices(space) == choices


@pytest.mark.parametrize("space", [Toy(), small_space()], ids=["toy", "own"])
def test_the_architecture_parameters_are_not_among_the_weights_of_the_network(space: ModelSpace) -> None:
    names = [name for name, _ in space.named_parameters()]
    selection = soften(space)
    assert len(list(space.parameters())) == len(names)
    logits = {id(logits) for logits in selection.logits.values()}
    assert not any(id(weight) in logits for weight in space.parameters())


def test_export_is_nnis_sample() -> None:
    space = Toy()
    selection = soften(space)
    with torch.no_grad():
        selection.logits["pruning"].copy_(torch.tensor([0.0, 3.0, 1.0]))
        selection.logits["depth"].copy_(torch.tensor([0.0, 0.0, 2.0]))
    exported: dict[str, Any] = {}
    probabilities: dict[str, Any] = {}
    for module in space.modules():
        if isinstance(module, MixedChoice | MixedDepth):
            exported.update(module.export(exported))
            probabilities.update(module.export_probs(probabilities))
            assert module.resample({}) == {}
    assert exported == selection.sample() == {"pruning": "ten", "depth": 3}
    assert space.contains(exported)
    assert {label: list(row) for label, row in probabilities.items()} == selection.options
    for row in probabilities.values():
        assert sum(row.values()) == pytest.approx(1)
    assert probabilities["depth"][3] == pytest.approx(float(torch.tensor([0.0, 0.0, 2.0]).softmax(0)[2]))


class WithNumber(ModelSpace):
    """Space with a choice that cannot be mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Part()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Part(MutableModule):
    def __init__(self) -> None:
        super().__init__()
        self.add_mutable(Numerical(0, 1, label="ratio"))


def test_choices_that_cannot_be_mixed_are_refused() -> None:
    with pytest.raises(TypeError, match="'ratio' is a Numerical; only categorical choices can be mixed"):
        soften(WithNumber())


@pytest.mark.parametrize(
    "options, message",
    [({"arch_every": 0}, "arch_every must be 1 or more"), ({"lambda_": -1.0}, "lambda_ must be 0 or more")]
    + [({"lambda_": value}, "lambda_ must be 0 or more") for value in (float("nan"), float("inf"))],
)
def test_impossible_settings_of_the_strategy_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EASRec(cost_table={}, **options)
