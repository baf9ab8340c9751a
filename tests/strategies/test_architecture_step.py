"""What a step of alpha and beta leaves out, and that it is the plain step nevertheless."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from easrec_nni.data import Dataset
from easrec_nni.searching.stage import search
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.module import SequenceModule
from search_spaces import EASRecSpace, SpaceConfig
from search_spaces.candidates import _padded_sum
from strategies import STRATEGIES

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
@pytest.mark.parametrize("attention", ["linrec", "softmax"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_newest_position_alone_has_the_state_and_gradients_that_it_has_among_all(
    name: str, supernet: str, attention: str
) -> None:
    space, selection = supernet_of(name, supernet=supernet, attention=attention, direction="causal")
    selection.draw()
    batch = space.embedding.begin(IDS)
    all_positions = batch.newest(space.layers(None, batch))[:, 0]
    newest = space.newest_state(IDS)
    torch.testing.assert_close(newest, all_positions)
    logits = list(selection.logits.values())
    factors = torch.randn_like(newest)
    found = [
        torch.autograd.grad((states * factors).sum(), logits, retain_graph=True) for states in (newest, all_positions)
    ]
    for alone, among_all in zip(*found, strict=True):
        torch.testing.assert_close(alone, among_all)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_argmax_network_gives_the_newest_state_alone(depth: int) -> None:
    space, selection = supernet_of("easrec", supernet="shared")
    with torch.no_grad():
        selection.logits["depth"].copy_(torch.eye(3)[depth - 1])
    selection.hard = True
    ended = []
    space.layers.origin.blocks[depth - 1].register_forward_hook(lambda module, inputs, output: ended.append(output))
    states, newest = space.states(IDS), space.newest_state(IDS)
    torch.testing.assert_close(newest, space.embedding.begin(IDS).newest(states)[:, 0])
    assert [output.shape[1] for output in ended] == [6, 1], "all positions for states(), the newest for newest_state()"


@pytest.mark.parametrize("name", STRATEGIES)
def test_weights_are_constants_in_a_step_of_the_architecture_and_learn_again_after_it(
    name: str, tiny_dataset: Dataset, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[bool, list[set[bool]]] = {True: [], False: []}
    step = SequenceModule.training_step

    def spy(module: SequenceModule, batch: Any, batch_idx: int) -> Tensor:
        loss = step(module, batch, batch_idx)
        seen[batch.targets.dim() == 1].append({weight.requires_grad for weight in module.model.parameters()})
        return loss

    monkeypatch.setattr(SequenceModule, "training_step", spy)
    sizes = {key: value for key, value in SIZES.items() if key != "n_items"}
    document = {"data": str(tiny_dataset.path), "space": {**sizes, "supernet": "shared"}}
    chosen = {"strategy": name, "epochs": 1, "batch_size": 8, "arch_learning_rate": 0.1}
    result = search(tiny_dataset, TrialSettings.parse({**document, "search": chosen}, "test"), tmp_path)
    assert seen[True] and all(found == {False} for found in seen[True]), "one target a user: the architecture's step"
    assert seen[False] and all(found == {True} for found in seen[False])
    values = [value for name, value in result.history[0].items() if name.startswith("alpha_")]
    assert max(values) > min(values), "alpha has moved"


def test_a_step_that_fails_leaves_the_weights_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    from strategies.differentiable import _without_gradients

    module = torch.nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    with pytest.raises(ZeroDivisionError), _without_gradients(module):
        assert not module.weight.requires_grad
        raise ZeroDivisionError
    assert module.weight.requires_grad and not module.bias.requires_grad, "what was a constant before stays one"


@pytest.mark.parametrize("widths", [(8,), (5,), (2, 8), (8, 5, 2), (5, 2)])
def test_sums_of_padded_tensors(widths: tuple[int, ...]) -> None:
    by_width = {width: torch.randn(3, 4, width) for width in widths}
    plain = torch.zeros(3, 4, 8)
    for width, tensor in by_width.items():
        plain[..., :width] += tensor
    torch.testing.assert_close(_padded_sum(by_width, 8), plain)
