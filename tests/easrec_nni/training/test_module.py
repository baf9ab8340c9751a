"""Adam of the settings against its formula number by number, and the loss of architecture parameters."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from easrec_nni.architecture.training_settings import OptimizerSettings
from easrec_nni.data import Dataset
from easrec_nni.data.batches.training import TrainingBatch
from easrec_nni.training.module import SequenceModule
from search_spaces import EASRecNetwork, SpaceConfig

RATE, STEPS = 0.05, 3
FIXED: dict[str, Any] = {"hidden_pruning": [0], "inner_pruning": [0], "layers": 1, "gate_layers": 0}


def adam(weight: float, gradients: list[float], beta2: float, decay: float) -> float:
    """Weight after Adam's steps with decoupled decay (Loshchilov and Hutter, ICLR 2019)."""
    first = second = 0.0
    for step, gradient in enumerate(gradients, start=1):
        weight -= RATE * decay * weight
        first = 0.9 * first + 0.1 * gradient
        second = beta2 * second + (1 - beta2) * gradient * gradient
        weight -= RATE * (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - beta2**step)) + 1e-8)
    return weight


@pytest.mark.parametrize(("beta2", "decay"), [(0.999, 0.0), (0.98, 0.0), (0.999, 0.3), (0.9, 1.5)])
def test_steps_are_those_of_adam_and_decay_spares_biases_and_norms(
    tiny_dataset: Dataset, beta2: float, decay: float
) -> None:
    torch.manual_seed(1)
    network = EASRecNetwork(SpaceConfig(n_items=30, max_length=4, hidden=4, inner=4, heads=1, **FIXED))
    options = OptimizerSettings(learning_rate=RATE, beta2=beta2, weight_decay=decay)
    module = SequenceModule(tiny_dataset, options)
    module.set_model(network)
    optimiser = module.configure_optimizers()
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(network.parameters()))
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    gradients = [{name: torch.randn_like(weight) for name, weight in before.items()} for _ in range(STEPS)]
    for step in gradients:
        for name, weight in network.named_parameters():
            weight.grad = step[name].clone()
        optimiser.step()
    decayed = set()
    for name, weight in network.named_parameters():
        share = 0.0 if name.endswith("bias") or "norm" in name else decay
        decayed |= {name} if share else set()
        for place in range(min(weight.numel(), 20)):
            values = [float(step[name].flatten()[place]) for step in gradients]
            wanted = adam(float(before[name].flatten()[place]), values, beta2, share)
            assert float(weight.flatten()[place]) == pytest.approx(wanted, rel=1e-4, abs=1e-6), name
    assert ("embedding.items.weight" in decayed) == (decay > 0)


def test_the_calibrated_loss_of_the_architecture_is_without_dropout(tiny_dataset: Dataset) -> None:
    torch.manual_seed(1)
    network = EASRecNetwork(SpaceConfig(n_items=30, max_length=4, hidden=4, inner=4, heads=1, dropout=0.5, **FIXED))
    batch = TrainingBatch(torch.tensor([[0, 3, 9, 2], [4, 4, 1, 30]]), torch.tensor([5, 7]))
    with torch.no_grad():
        network.embedding.items.weight.mul_(50)  # over-confident
        scores = network.eval()(batch.ids)[:, 1:].double()
    smallest = min(float(cross_entropy(scale * scores, batch.targets - 1)) for scale in torch.logspace(-0.9, 0.3, 2000))
    losses = {}
    for calibrates in (False, True):
        module = SequenceModule(tiny_dataset, OptimizerSettings(), calibrates=calibrates)
        module.set_model(network)
        network.train()
        losses[calibrates] = [float(module.architecture_loss(batch, 0)) for _ in range(3)]
        assert network.training
    assert losses[True] == pytest.approx([smallest] * 3, rel=1e-3)
    assert len(set(losses[False])) == 3, "dropout is drawn"
