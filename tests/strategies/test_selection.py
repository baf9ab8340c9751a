"""Gumbel-softmax draws and the temperature that sharpens them (Eq. 10, Table II)."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from strategies import Selection, TemperatureSchedule

OPTIONS: dict[str, list[object]] = {"pruning": ["a", "b", "c", "d"], "depth": [1, 2, 3]}
LOGITS = {"pruning": [0.0, 1.0, -1.0, 0.5], "depth": [2.0, 0.0, -0.5]}
DRAWS = 20_000


def make_selection(noise: bool = True, temperature: float = 1.0) -> Selection:
    selection = Selection(OPTIONS, noise=noise)
    selection.temperature = temperature
    with torch.no_grad():
        for label, values in LOGITS.items():
            selection.logits[label].copy_(torch.tensor(values))
    return selection


def softmax(values: list[float], temperature: float = 1.0) -> torch.Tensor:
    exponents = (torch.tensor(values, dtype=torch.float64) / temperature).exp()
    return exponents / exponents.sum()


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_strongest_draw_is_distributed_as_the_softmax_of_the_logits(temperature: float) -> None:
    # The Gumbel-max trick holds at every temperature: dividing by it does not move the maximum.
    selection = make_selection(temperature=temperature)
    torch.manual_seed(0)
    counts = {label: torch.zeros(len(options)) for label, options in OPTIONS.items()}
    for _ in range(DRAWS // 10):
        for label, weights in selection.draw(differentiable=False).items():
            counts[label][weights.argmax()] += 1
    for label, observed in counts.items():
        expected = softmax(LOGITS[label]).numpy() * observed.sum().item()
        assert chisquare(observed.double().numpy(), expected).pvalue > 0.001


def test_choices_are_drawn_independently_of_each_other() -> None:
    selection = make_selection()
    torch.manual_seed(1)
    both = torch.zeros(4, 3)
    for _ in range(DRAWS // 10):
        weights = selection.draw(differentiable=False)
        both[weights["pruning"].argmax(), weights["depth"].argmax()] += 1
    expected = torch.outer(softmax(LOGITS["pruning"]), softmax(LOGITS["depth"])) * both.sum()
    assert chisquare(both.double().flatten().numpy(), expected.flatten().numpy()).pvalue > 0.001


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.3, 0.01])
def test_weights_are_a_distribution(temperature: float, noise: bool) -> None:
    selection = make_selection(noise, temperature)
    torch.manual_seed(2)
    for _ in range(50):
        for label, weights in selection.draw().items():
            assert weights.shape == (len(OPTIONS[label]),)
            assert (weights >= 0).all()
            assert weights.sum().item() == pytest.approx(1, abs=1e-6)


def test_small_temperatures_give_one_hot_weights_and_large_ones_even_weights() -> None:
    torch.manual_seed(3)
    # At tau = 0.01 a draw is soft only where two perturbed logits are within a few hundredths of each other.
    cold = torch.stack([make_selection(temperature=0.01).draw()["pruning"].max() for _ in range(200)])
    assert (cold > 0.999).float().mean() > 0.8
    coldest = make_selection(noise=False, temperature=0.001).draw()["pruning"]
    torch.testing.assert_close(coldest, torch.tensor([0.0, 1.0, 0.0, 0.0]))
    hot = make_selection(temperature=1e4).draw()["pruning"]
    torch.testing.assert_close(hot, torch.full((4,), 0.25), rtol=0, atol=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.05])
def test_without_noise_a_draw_is_the_softmax_at_the_temperature(temperature: float) -> None:
    selection = make_selection(noise=False, temperature=temperature)
    for label, weights in selection.draw().items():
        torch.testing.assert_close(weights.detach().double(), softmax(LOGITS[label], temperature), rtol=0, atol=1e-6)


def test_the_noise_is_gumbels() -> None:
    # With equal logits a weight of two options is a logistic function of the difference of two Gumbel variables, which
    # has the standard logistic distribution: the weight is uniform on (0, 1) at temperature 1.
    selection = Selection({"x": ["left", "right"]})
    torch.manual_seed(4)
    first = torch.stack([selection.draw(differentiable=False)["x"][0] for _ in range(4000)])
    counts = torch.histc(first, bins=10, min=0, max=1)
    assert chisquare(counts.numpy()).pvalue > 0.001


def test_a_draw_is_reproducible_and_each_is_new() -> None:
    selection = make_selection()
    torch.manual_seed(5)
    first, second = selection.draw()["pruning"], selection.draw()["pruning"]
    torch.manual_seed(5)
    assert torch.equal(selection.draw()["pruning"], first)
    assert not torch.equal(first, second)


def test_gradients_reach_the_logits_only_if_asked_for() -> None:
    selection = make_selection()
    weights = selection.draw()
    assert selection.weights is weights
    gradient = torch.autograd.grad(weights["pruning"][0], selection.logits["pruning"])[0]
    # d softmax_0 / d logit_j = w_0 (delta_0j - w_j) at temperature 1, whatever the noise was.
    drawn = weights["pruning"].detach()
    torch.testing.assert_close(gradient, drawn[0] * (torch.eye(4)[0] - drawn))
    assert not any(weight.requires_grad for weight in selection.draw(differentiable=False).values())


def test_probabilities_and_sample_know_no_noise_and_no_temperature() -> None:
    selection = make_selection(temperature=0.01)
    for label, values in selection.probabilities().items():
        assert not values.requires_grad
        torch.testing.assert_close(values.double(), softmax(LOGITS[label]), rtol=0, atol=1e-6)
    assert selection.sample() == {"pruning": "b", "depth": 1}
    assert selection.argmax("pruning") == 1


def test_every_option_is_as_probable_as_the_others_at_first() -> None:
    for values in Selection(OPTIONS).probabilities().values():
        assert (values == values[0]).all()


@pytest.mark.parametrize("iteration, tau", [(0, 1.0), (10_000, 0.5), (19_800, 0.01), (19_000, 0.05), (10**6, 0.01)])
def test_schedule_of_table_2(iteration: int, tau: float) -> None:
    assert TemperatureSchedule()(iteration) == pytest.approx(tau, abs=1e-12)


def test_schedule_can_be_set() -> None:
    schedule = TemperatureSchedule(start=2.0, end=0.5, decay=0.1)
    assert [schedule(t) for t in (0, 5, 15, 16)] == pytest.approx([2.0, 1.5, 0.5, 0.5])


@pytest.mark.parametrize("options", [{"end": 0.0}, {"start": 0.005}, {"decay": -0.1}, {"start": float("nan")}])
def test_schedules_that_do_not_fall_to_a_positive_end_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="the temperature must fall from start to end > 0"):
        TemperatureSchedule(**options)


def test_the_entropy_of_a_decided_choice_is_zero_without_a_sign() -> None:
    selection = Selection({"depth": [1, 2, 3]})
    with torch.no_grad():
        selection.logits["depth"].copy_(torch.tensor([0.0, -torch.inf, -torch.inf]))  # as dropped options have it
    assert f"{selection.entropies()['depth']:.2f}" == "0.00"
