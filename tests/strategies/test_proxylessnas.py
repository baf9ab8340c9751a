"""ProxylessNAS: sampled paths, and gradients of alpha and beta from two of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from search_spaces import EASRecSpace, SpaceConfig
from strategies import ProxylessNAS
from strategies.proxylessnas import PathSelection

ALPHA = [0.0, 1.0, -1.0, 0.5]
OPTIONS: dict[str, list[Any]] = {"pruning": ["a", "b", "c", "d"], "depth": [1, 2, 3]}
DRAWS = 2000


@pytest.fixture
def selection() -> PathSelection:
    paths = PathSelection(OPTIONS)
    with torch.no_grad():
        paths.logits["pruning"].copy_(torch.tensor(ALPHA))
    torch.manual_seed(0)
    return paths


def test_a_step_of_the_weights_has_one_path_with_its_probability(selection: PathSelection) -> None:
    counts = torch.zeros(4, 3)
    for _ in range(DRAWS):
        weights = selection.draw(differentiable=False)
        for label, gates in weights.items():
            assert sorted(gates.tolist()) == [0] * (len(gates) - 1) + [1]
            assert selection.paths[label] == [int(gates.argmax())]
            assert not gates.requires_grad
        counts[selection.paths["pruning"][0], selection.paths["depth"][0]] += 1
    expected = torch.outer(torch.tensor(ALPHA).double().softmax(0), torch.full((3,), 1 / 3, dtype=torch.float64))
    assert chisquare(counts.double().flatten().numpy(), expected.flatten().numpy() * DRAWS).pvalue > 0.001


def test_a_step_of_alpha_has_two_paths_sampled_without_replacement(selection: PathSelection) -> None:
    counts = torch.zeros(4, 4, dtype=torch.float64)
    for _ in range(DRAWS):
        gates = selection.draw()["pruning"]
        assert sorted(gates.tolist()) == [0, 0, 0, 1]
        active, other = selection.paths["pruning"]
        assert gates[active] == 1 and active != other
        counts[active, other] += 1
    p = torch.tensor(ALPHA, dtype=torch.float64).softmax(0)
    # Both orders of a pair, then the active one among the two.
    pair = p[:, None] * p[None] * (1 / (1 - p[:, None]) + 1 / (1 - p[None]))
    expected = pair * p[:, None] / (p[:, None] + p[None])
    off = ~torch.eye(4, dtype=torch.bool)
    assert chisquare(counts[off].numpy(), expected[off].numpy() * DRAWS).pvalue > 0.001


def test_only_the_two_paths_get_gradients_and_they_cancel(selection: PathSelection) -> None:
    for _ in range(20):
        gates = selection.draw()["pruning"]
        factors = torch.randn(4)
        (gradient,) = torch.autograd.grad((gates * factors).sum(), selection.logits["pruning"])
        a, b = selection.paths["pruning"]
        p, _ = torch.tensor([ALPHA[a], ALPHA[b]]).softmax(0)
        # sum_j dL/dg_j p_j (delta_ij - p_i) over the two.
        expected = torch.zeros(4)
        expected[a] = p * (1 - p) * (factors[a] - factors[b])
        expected[b] = -expected[a]
        torch.testing.assert_close(gradient, expected)


def test_rescaling_keeps_the_probabilities_of_the_others(selection: PathSelection) -> None:
    before = selection.probabilities()
    selection.draw()
    pairs = {label: list(paths) for label, paths in selection.paths.items()}
    with torch.no_grad():
        for label, (active, other) in pairs.items():
            selection.logits[label][active] += 0.7
            selection.logits[label][other] -= 0.2
    selection.rescale()
    for label, after in selection.probabilities().items():
        others = [index for index in range(len(after)) if index not in pairs[label]]
        torch.testing.assert_close(after[others], before[label][others])
        active, other = pairs[label]
        assert after[active] / after[other] == pytest.approx(
            float(before[label][active] / before[label][other]) * 2.718281828**0.9, rel=1e-4
        )


def test_a_step_moves_two_logits_of_a_choice_and_no_others(
    cost_table: Any, search_sums: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = ProxylessNAS.module_type
    original, moved = cls._architecture_step, []

    def step(module: Any, *arguments: Any) -> None:
        before = {label: logits.detach().clone() for label, logits in module.logits.items()}
        mass = {label: logits.logsumexp(0) for label, logits in before.items()}
        original(module, *arguments)
        for label, logits in module.logits.items():
            changed = (logits.detach() != before[label]).nonzero().flatten().tolist()
            moved.append(set(changed) <= set(module.selection.paths[label]))
            assert len(changed) <= 2
            torch.testing.assert_close(logits.detach().logsumexp(0), mass[label])

    monkeypatch.setattr(cls, "_architecture_step", step)
    strategy = ProxylessNAS(cost_table, lambda_=0.5, arch_learning_rate=0.1)
    search_sums(strategy, 30)
    assert len(moved) == 60 and all(moved)
    assert strategy.selection is not None and strategy.selection.temperature == 1


@pytest.mark.parametrize("differentiable", [False, True])
def test_candidates_that_are_not_sampled_do_not_run(
    differentiable: bool, cost_table: Any, sums: Any, soften: Any
) -> None:
    torch.manual_seed(1)
    for _ in range(10):
        space = sums()
        module = soften(ProxylessNAS(cost_table), space)
        module.selection.draw(differentiable)
        paths = module.selection.paths
        output = module.training_module.training_step(torch.zeros(1), 0)
        deepest, active_depth = max(paths["depth"]) + 1, paths["depth"][0] + 1
        active = paths["pruning"][0]
        for layer, adds in enumerate(space.adds(), start=1):
            for index, add in enumerate(adds.values()):
                ran = layer <= deepest and index in paths["pruning"]
                with_gradient = ran and layer <= active_depth and index == active
                # Memory: of the competing path nothing is kept for a backward pass.
                assert add.calls == [int(ran and not with_gradient), int(with_gradient)]
        value = active_depth * (0.1, 0.5, 1.0)[active]
        assert output.item() == pytest.approx((value - 3) ** 2, rel=1e-5)


@pytest.mark.parametrize("supernet", ["shared", "independent"])
def test_gradients_are_those_of_the_gates_by_finite_differences(supernet: Any, soften: Any) -> None:
    """Real space: dL/dg by finite differences of the gates, then the estimator's formula."""
    torch.manual_seed(0)
    config = SpaceConfig(n_items=12, max_length=5, hidden=8, inner=16, heads=2, layers=3, supernet=supernet)
    space = EASRecSpace(config).double().eval()
    table = {f"hidden{h}_inner{i}": dict.fromkeys((1, 2, 3), 1.0) for h in (0, 25, 50) for i in (0, 25, 50)}
    selection = soften(ProxylessNAS(table), space).selection
    selection.logits.double()
    with torch.no_grad():
        selection.logits["pruning"].normal_()
        selection.logits["depth"].normal_()
    ids = torch.tensor([[1, 2, 3, 4], [0, 5, 6, 7]])

    def loss() -> Tensor:
        return torch.nn.functional.cross_entropy(space(ids), torch.tensor([5, 8]))

    for _ in range(3):
        drawn = selection.draw()
        gradients = torch.autograd.grad(loss(), list(selection.logits.values()))
        gates = {label: gate.detach().clone() for label, gate in drawn.items()}
        selection.weights = gates
        for label, gradient in zip(selection.logits, gradients, strict=True):
            by_gate = torch.zeros_like(gates[label])
            for path in selection.paths[label]:
                sides = []
                for sign in (1, -1):
                    gates[label][path] += sign * 1e-5
                    sides.append(loss().item())
                    gates[label][path] -= sign * 1e-5
                by_gate[path] = (sides[0] - sides[1]) / 2e-5
            p = selection.path_probabilities[label].detach()
            torch.testing.assert_close(gradient, p * (by_gate - (p * by_gate).sum()), rtol=1e-4, atol=1e-8)
            assert gradient.abs().max() > 1e-5


def test_probabilities_too_small_for_a_float_are_no_obstacle(selection: PathSelection) -> None:
    with torch.no_grad():
        selection.logits["pruning"].copy_(torch.tensor([300.0, 0.0, -300.0, -600.0]))
    gates = selection.draw()["pruning"]
    assert sorted(selection.paths["pruning"]) == [0, 1]
    (gradient,) = torch.autograd.grad(gates[0], selection.logits["pruning"])
    assert gradient.isfinite().all()
    selection.rescale()
    assert selection.logits["pruning"].isfinite().all()
