"""Measurement of a latency file: each part's time, from networks that differ by that part alone."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from easrec_nni.architecture.feature_tables import set_features
from easrec_nni.architecture.latency import (
    CheckedLatency,
    EmbeddingLatency,
    LatencyCheck,
    LatencyFile,
    LayerLatency,
    MeasuredNetwork,
    Milliseconds,
)
from easrec_nni.architecture.schema import DatasetReference
from easrec_nni.bench.machine import benchmark_provenance, load_average
from easrec_nni.bench.repeats import in_turns, spread
from easrec_nni.common.errors import UserError
from easrec_nni.data.batches.evaluation import EvaluationBatches
from easrec_nni.evaluation.inference import ScoringTimer
from easrec_nni.training.context import TrialContext
from easrec_nni.training.trainer import seed_everything
from search_spaces import Choice, EASRecNetwork, SpaceConfig
from search_spaces.embedding import Batch

__all__ = ["measure_latency"]

Clock = Literal["wall", "processor"]
CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}

MOST_BATCHES, MOST_SINGLE_USERS = 20, 200  # of a pass, by default


class Probe(NamedTuple):
    """Network that is timed for the parts: ``layers`` 0 has embedding and scoring only."""

    hidden: int
    inner: int
    layers: int
    gates: bool

    def config(self, space: SpaceConfig) -> SpaceConfig:
        """Fixed configuration of the network, with gates in all layers or in none."""
        depth = max(1, self.layers)
        sizes = {"hidden": self.hidden, "inner": self.inner, "layers": depth, "min_depth": depth}
        only = {"hidden_pruning": (0.0,), "inner_pruning": (0.0,), "supernet": "independent"}
        gates = {"gate_layers": space.gate_layers if self.gates else 0, "gates_from": 1}
        return space.model_copy(update={**sizes, **only, **gates})


class _NoLayers(nn.Module):
    """Stand-in for the layers that returns their input."""

    def forward(self, states: Tensor | None, batch: Batch, last_only: bool = False) -> Tensor:
        embedding = batch.input(batch.embedding.shape[-1])
        return batch.newest(embedding) if last_only else embedding


def probes_of(space: SpaceConfig) -> list[Probe]:
    """Networks that determine the parts of a space, those of a candidate next to each other."""
    kinds = sorted({space.has_gates(layer) for layer in range(1, space.layers + 1)})
    probes = []
    for hidden in dict.fromkeys(map(space.hidden_width, space.hidden_pruning)):
        inners = list(dict.fromkeys(map(space.inner_width, space.inner_pruning)))
        probes.append(Probe(hidden, inners[0], 0, False))
        probes += [Probe(hidden, inner, depth, gates) for inner in inners for gates in kinds for depth in (1, 2)]
    return probes


def parts_of(ms: Mapping[Probe, float]) -> tuple[tuple[EmbeddingLatency, ...], tuple[LayerLatency, ...]]:
    """Times of the parts, from those of the networks.

    A part's time is what a network gains with it: two layers less one are a layer, one less none the last layer.

    Parameters
    ----------
    ms
        Milliseconds per user by network.
    """
    width_ms = {probe.hidden: value for probe, value in ms.items() if probe.layers == 0}
    embeddings = (EmbeddingLatency(hidden=width, ms_per_user=value) for width, value in width_ms.items())
    layers = []
    for probe, one in ms.items():
        if probe.layers != 1:
            continue
        layers.append(
            LayerLatency(
                hidden=probe.hidden,
                inner=probe.inner,
                gates=probe.gates,
                # Differences of noisy times can fall below zero where a layer costs next to nothing.
                layer_ms_per_user=max(0.0, ms[probe._replace(layers=2)] - one),
                last_layer_ms_per_user=max(0.0, one - width_ms[probe.hidden]),
            )
        )
    return tuple(embeddings), tuple(layers)


def measure_latency(
    context: TrialContext,
    *,
    batch_size: int | None = None,
    users: int | None = None,
    turns: int = 7,
    checked: int = 8,
    clock: Clock = "wall",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LatencyFile:
    """Measure the latency of a space's parts in this process, on the CPU.

    Every network is timed as :func:`~easrec_nni.evaluation.inference.measure_inference` does, from item ids to the
    scores of all items, in batches of users of similar history length; networks alternate, so that other load affects
    all alike.

    Parameters
    ----------
    context
        Settings, dataset and space.
    batch_size
        Users per batch; evaluation's by default, that of ``inference_ms_per_user``.
    users
        Number of users to time, spread evenly over short and long histories and rounded up to full batches; by default
        200 one by one, or 20 batches.
    turns
        Number of timed turns, after a warm-up.
    checked
        Number of architectures, drawn by the settings' seed, whose end-to-end time is compared with its prediction.
    clock
        ``wall``, or ``processor``: processor time, for one thread on a machine with other load.
    progress
        Function that is called with the number of finished passes and of all passes.

    Raises
    ------
    UserError
        Processor time is asked for with several threads, whose times would be added up.
    """
    threads = torch.get_num_threads()
    if clock == "processor" and threads > 1:
        raise UserError(f"processor time adds up over {threads} threads and is not a latency: measure with 1 thread")
    space, before = context.space, load_average()
    timer = _timer(context, batch_size, users, CLOCKS[clock])
    seed_everything(context.settings.seed)
    tables: dict[int, nn.Embedding] = {}
    probes, drawn = probes_of(space), _sample(context, checked)
    networks: dict[Key, EASRecNetwork] = {
        probe: _network(probe.config(space), tables, probe.layers == 0) for probe in probes
    }
    networks.update({choice: _network(space.compact(choice), tables) for choice in drawn})
    for network in networks.values():
        set_features(network, context.dataset)
    passes = _timed_passes(networks, timer, turns, progress)
    measured = {probe: spread(passes[probe]) for probe in probes}
    embeddings, layers = parts_of({probe: values["median"] for probe, values in measured.items()})
    rows = context.dataset.split.test.first_rows
    everyone = EvaluationBatches(context.dataset, "test", space.max_length, timer.batch_size, rows)
    document = LatencyFile(
        schema_version=1,
        space=SpaceConfig(**space.model_dump()),  # with every field set, so that all are written
        dataset=DatasetReference.of(context.dataset),
        device=str(timer.device),
        batch=timer.batch_size,
        users=timer.users,
        mean_history=sum(int((ids != 0).sum()) for ids in timer.batches) / timer.users,
        test_users=len(rows),
        mean_test_history=float((everyone.ends - everyone.starts).mean()),
        threads=threads,
        clock=clock,
        turns=turns,
        embedding_and_scoring=embeddings,
        layers=layers,
        measured=tuple(
            MeasuredNetwork(**probe._asdict(), ms_per_user=Milliseconds(**values)) for probe, values in measured.items()
        ),
        **benchmark_provenance(before),
    )
    if not drawn:
        return document
    return document.model_copy(update={"check": _check(document, {choice: passes[choice] for choice in drawn})})


def _timer(
    context: TrialContext, batch_size: int | None, users: int | None, clock: Callable[[], float]
) -> ScoringTimer:
    timer = partial(
        ScoringTimer, context.dataset, context.space.max_length, single_users=0, batch_size=batch_size, clock=clock
    )
    size = timer(most_batches=1).batch_size
    default = MOST_SINGLE_USERS if size == 1 else MOST_BATCHES
    return timer(most_batches=default if users is None else math.ceil(users / size))


def _network(config: SpaceConfig, tables: dict[int, nn.Embedding], without_layers: bool = False) -> EASRecNetwork:
    """Network in evaluation mode; those of a width share one item table, which can be most of the memory."""
    network = EASRecNetwork(config).eval()
    network.embedding.items = tables.setdefault(config.item_width or config.hidden, network.embedding.items)
    if without_layers:
        network.layers = _NoLayers()
    return network


def _sample(context: TrialContext, count: int) -> list[Choice]:
    architectures = context.space.architectures()
    return random.Random(context.settings.seed).sample(architectures, min(count, len(architectures)))


Key = Probe | Choice


def _timed_passes(
    networks: Mapping[Key, EASRecNetwork],
    timer: ScoringTimer,
    turns: int,
    progress: Callable[[int, int], None],
) -> dict[Key, list[float]]:
    """Milliseconds per user of each network, by turn."""
    total, done = len(networks) * (1 + turns), 0

    def timed(network: EASRecNetwork) -> float:
        nonlocal done
        ms = 1000 * timer.pass_seconds(network) / timer.users
        done += 1
        progress(done, total)
        return ms

    return in_turns({key: partial(timed, network) for key, network in networks.items()}, turns)


def _check(document: LatencyFile, passes: Mapping[Choice, Sequence[float]]) -> LatencyCheck:
    rows = []
    for choice, values in passes.items():
        predicted, measured = document.predict(choice), spread(values)
        rows.append(
            CheckedLatency(
                choices=choice,
                predicted_ms_per_user=predicted,
                measured_ms_per_user=Milliseconds(**measured),
                relative_error=predicted / measured["median"] - 1,
            )
        )
    errors = [abs(row.relative_error) for row in rows]
    return LatencyCheck(
        architectures=tuple(rows), median_relative_error=statistics.median(errors), largest_relative_error=max(errors)
    )
