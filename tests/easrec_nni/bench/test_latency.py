"""Measuring latency files: parts against networks whose time is a formula, and a real run on a small dataset."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from easrec_nni.architecture.latency import LatencyFile
from easrec_nni.bench.latency import Probe, _network, measure_latency, probes_of
from easrec_nni.bench.latency_report import latency_report
from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.evaluation import inference as inference_module
from easrec_nni.evaluation.inference import ScoringTimer, measure_inference
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.context import TrialContext
from search_spaces import EASRecNetwork, SpaceConfig
from search_spaces.block import Block

SIZES: dict[str, Any] = {"max_length": 8, "hidden": 16, "inner": 16, "heads": 2, "layers": 4}
RATIOS: dict[str, Any] = {"hidden_pruning": [0, 0.5], "inner_pruning": [0, 0.25]}


def context_of(dataset: Dataset, **space: Any) -> TrialContext:
    return TrialContext.open(TrialSettings(data="tiny", space={**SIZES, **RATIOS, **space}), dataset)


def formula_seconds(network: EASRecNetwork) -> float:
    """Seconds of a network: weights in the item table and the blocks, an eighth of those of the last one."""
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    weights = [sum(weight.numel() for weight in block.parameters()) for block in blocks]
    return 1e-6 * (network.embedding.items.weight.numel() + sum(weights[:-1]) + sum(weights[-1:]) / 8)


@pytest.mark.parametrize("gates", [{"gates_from": 3}, {"gates_from": 1}, {"gate_layers": 0}])
def test_parts_add_up_to_every_architecture(
    gates: dict[str, Any], tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScoringTimer, "pass_seconds", lambda timer, network: formula_seconds(network))
    context = context_of(tiny_dataset, **gates)
    document = measure_latency(context, turns=1, checked=100)
    assert len(document.layers) == 4 * (2 if gates == {"gates_from": 3} else 1)
    for choice in context.space.architectures():
        seconds = formula_seconds(EASRecNetwork(context.space.compact(choice)))
        assert document.predict(choice) == pytest.approx(1000 * seconds / document.users)
    assert document.check is not None and len(document.check.architectures) == 16
    assert document.check.largest_relative_error == pytest.approx(0, abs=1e-9)


def test_errors_are_those_of_the_architectures_that_were_measured(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time grows with the square of the depth: 1, 4, 9 and 16, of which a sum predicts 1, 4, 7 and 10."""
    seconds = lambda timer, network: len([m for m in network.modules() if isinstance(m, Block)]) ** 2  # noqa: E731
    monkeypatch.setattr(ScoringTimer, "pass_seconds", seconds)
    context = context_of(tiny_dataset, gate_layers=0, hidden_pruning=[0], inner_pruning=[0])
    check = measure_latency(context, turns=1, checked=4).check
    assert check is not None
    errors = {row.choices.depth: row.relative_error for row in check.architectures}
    assert errors == pytest.approx({1: 0, 2: 0, 3: 7 / 9 - 1, 4: 10 / 16 - 1})
    assert check.median_relative_error == pytest.approx(1 / 9)
    assert check.largest_relative_error == pytest.approx(3 / 8)


FIXED: dict[str, Any] = {"hidden_pruning": [0], "inner_pruning": [0], "min_depth": 2, "layers": 2}
KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "masked": {"objective": "masked", "direction": "bidirectional"},
    "core": {"head": "core"},
    "stream": {**FIXED, "features": "stream", "feature_sizes": [5], "feature_values": [1]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_every_kind_of_space_can_be_timed(kind: str) -> None:
    space = SpaceConfig(n_items=30, **{**SIZES, **RATIOS, **KINDS[kind]})
    tables: dict[int, Any] = {}
    ids = torch.tensor([[0, 0, 3, 7], [1, 2, 3, 4]])
    for probe in probes_of(space):
        network = _network(probe.config(space), tables, probe.layers == 0)
        if kind == "stream":
            network.set_feature_tables([torch.arange(31).clamp_max(5)[:, None]])
        with torch.no_grad():
            assert network(ids).shape == (2, 31)
        blocks = [block for block in network.modules() if isinstance(block, Block)]
        assert len(blocks) == probe.layers * (2 if kind == "stream" else 1)
        assert all((block.hidden, block.inner) == (probe.hidden, probe.inner) for block in blocks)
        assert all((block.hidden_gate is not None) == probe.gates for block in blocks)
        assert network.embedding.items is tables[probe.hidden], "one item table of each width"


def test_a_network_without_layers_scores_the_newest_embedding() -> None:
    space = SpaceConfig(n_items=30, **{**SIZES, **RATIOS})
    network = _network(Probe(16, 16, 0, False).config(space), {}, without_layers=True)
    ids = torch.tensor([[0, 0, 3, 7], [1, 2, 3, 4]])
    with torch.no_grad():
        embedded = network.embedding.embed(ids)
        newest = network.embedding.normalised(embedded.embedding, 16)[:, -1]
        torch.testing.assert_close(network(ids)[:, 1:], newest @ network.embedding.items.weight.T[:, 1:])


@pytest.mark.parametrize("batch, users, timed", [(None, None, 40), (1, None, 40), (16, 20, 24), (1, 7, 7)])
def test_batches_are_spread_over_short_and_long_histories(
    batch: int | None, users: int | None, timed: int, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[list[tuple[int, ...]]] = []

    def record(timer: ScoringTimer, network: EASRecNetwork) -> float:
        passes.append([tuple(ids.shape) for ids in timer.batches])
        return 1.0

    monkeypatch.setattr(ScoringTimer, "pass_seconds", record)
    document = measure_latency(context_of(tiny_dataset), batch_size=batch, users=users, turns=1, checked=0)
    assert (document.users, document.test_users, document.check) == (timed, 40, None)
    assert document.batch == (batch or 256) and len({tuple(shapes) for shapes in passes}) == 1
    lengths = [length for _, length in passes[0]]
    assert lengths == sorted(lengths, reverse=True)
    if batch == 1:
        assert lengths[0] == 8 and lengths[-1] < 5
        assert document.mean_history == pytest.approx(document.mean_test_history, rel=0.1)


def test_all_users_are_timed_in_the_batches_of_a_reported_inference_time(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_module, "evaluation_batch_size", lambda n_items: 16)
    passes: list[list[Any]] = []

    def record(timer: ScoringTimer, network: EASRecNetwork) -> float:
        passes.append([ids.tolist() for ids in timer.batches])
        return 1.0

    monkeypatch.setattr(ScoringTimer, "pass_seconds", record)
    context = context_of(tiny_dataset)
    measure_inference(EASRecNetwork(context.space.compact(context.space.largest)), tiny_dataset)
    measure_latency(context, users=40, turns=1, checked=1)
    assert [len(ids) for ids in passes[0]] == [16, 16, 8]
    assert all(batches == passes[0] for batches in passes)


def test_processor_time_is_of_one_thread(tiny_dataset: Dataset) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(UserError, match="processor time adds up over 2 threads"):
            measure_latency(context_of(tiny_dataset), clock="processor")
    finally:
        torch.set_num_threads(before)


def test_processor_time_leaves_out_waiting(tiny_dataset: Dataset) -> None:
    class Waiting(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> None:
            time.sleep(0.05)

    wall, processor = (ScoringTimer(tiny_dataset, 8, clock=clock) for clock in (None, time.process_time))
    assert wall.pass_seconds(Waiting()) >= 0.05 > 0.025 > processor.pass_seconds(Waiting())


def test_the_command_writes_a_file_that_predicts(tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings, out = tmp_path / "settings.yml", tmp_path / "latency.json"
    settings.write_text("data: elsewhere\nspace: {max_length: 8, hidden: 16, inner: 16, heads: 2, layers: 3}\n")
    words = ["profile", str(tiny_dataset.path), "--settings", str(settings), "--out", str(out)]
    done = CliRunner().invoke(
        app, [*words, "--turns", "2", "--check", "3", "--threads", "1", "--set", "space.inner_pruning=[0, 0.5]"]
    )
    assert done.exit_code == 0, done.output
    document = LatencyFile.read(out)
    assert document.dataset.fingerprint == tiny_dataset.fingerprint and document.turns == 2
    assert document.versions and document.machine["cores"] >= 1 and len(document.load_average["before"]) == 3
    assert document.space.layers == 3 and document.space.inner_pruning == (0, 0.5)
    assert document.check is not None and len(document.check.architectures) == 3
    for choice in document.space.architectures():
        assert 0 < document.predict(choice) < 1000
    for network in document.measured:
        assert 0 < network.ms_per_user.min <= network.ms_per_user.median <= network.ms_per_user.max
    shown = latency_report(document)
    assert "\n".join(shown) in done.output
    assert f"{document.predict(document.space.largest):.4g}" in shown[4]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--clock", "sand"], "unknown --clock sand"),
        (["--clock", "processor", "--threads", "2"], "processor time adds up over 2 threads"),
        (["--set", "space.heads=7"], "which heads=7 do not divide"),
        (["--out", "."], "--out . is a folder"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    words: list[str], message: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    out = tmp_path / "latency.json"
    done = CliRunner().invoke(app, ["profile", str(tiny_dataset.path), "--out", str(out), *words])
    torch.set_num_threads(before)
    assert done.exit_code == 2 and message in done.output, done.output
    assert not out.exists()
