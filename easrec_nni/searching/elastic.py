"""Elastic search: one supernet whose architectures work as they are, and the best of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from easrec_nni.architecture.document import Architecture
from easrec_nni.architecture.run_folder import check_items
from easrec_nni.architecture.weights import LOGITS, load_supernet
from easrec_nni.common.errors import UserError
from easrec_nni.common.run_files import ARCHITECTURE_FILE, SUPERNET_FILE
from easrec_nni.searching.candidates import log_linear_reward
from easrec_nni.searching.costs import cheapest, cost_table
from easrec_nni.searching.front import EvaluatedArchitecture, Front, write_front
from easrec_nni.searching.inherited import choices_to_evaluate, evaluate_architectures, inherited_figures
from easrec_nni.searching.nni_engine import run_strategy
from easrec_nni.searching.paths_module import PathsModule
from easrec_nni.searching.record import Decision
from easrec_nni.settings.search import ElasticSettings
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.training.callbacks import AveragedWeights, EpochOrder, EpochRecord, SavePoint
from easrec_nni.training.context import TrialContext
from easrec_nni.training.divergence import EndIfDiverged
from easrec_nni.training.losses import LOSSES
from easrec_nni.training.micro_batch_size import MicroBatchSize
from easrec_nni.training.parallel import processes_of, seed_rank
from easrec_nni.training.recorded import with_recorded
from easrec_nni.training.run_folder import RunFolder
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import EASRecSpace
from strategies import SUPERNET_STRATEGIES, Elastic

__all__ = [
    "BALANCE",
    "SMALLEST",
    "best_architecture",
    "epoch_price",
    "evaluate_again",
    "evaluate_supernet",
    "make_elastic",
    "search_elastic",
    "train_elastic",
]

SMALLEST = "smallest_"
"""Prefix of a metric in the search's history: of the smallest network, beside that of the largest."""

BALANCE = "balance"
"""Metric that selects the epoch: geometric mean of the largest and the smallest network's selecting figures."""


def epoch_price(options: ElasticSettings) -> float:
    """Epochs of the largest network that an epoch costs at most: as if every architecture were as large.

    Examples
    --------
    >>> epoch_price(ElasticSettings())  # measured on Amazon Beauty: 2.1, see docs/elastic.md
    2.0
    >>> epoch_price(ElasticSettings(sandwich=False, distillation=0))
    1.0
    """
    paths = 2 * options.sandwich + options.random_paths
    return 1 + options.share * (paths - 1)


def make_elastic(context: TrialContext) -> tuple[Elastic, PathsModule]:
    """Strategy and training module with the options of the settings.

    Raises
    ------
    UserError
        The space's architectures are not slices of one network, or the loss has no distribution to distil.
    """
    settings, space, options = context.settings, context.space, context.settings.search.elastic
    if space.supernet != "shared":
        raise UserError("search.strategy: elastic trains slices of one network: set space.supernet: shared")
    if options.distillation and LOSSES[settings.loss].needs_negatives:
        raise UserError(
            f"search.elastic.distillation needs scores of all items, and loss: {settings.loss} has those of a sample: "
            "set loss: softmax, or search.elastic.distillation: 0"
        )
    samples = [{"pruning": choice.label, "depth": choice.depth} for choice in (space.largest, space.smallest)]
    strategy = SUPERNET_STRATEGIES["elastic"](
        *samples,
        sandwich=options.sandwich,
        random_paths=options.random_paths,
        fair=options.fair,
        warmup_epochs=options.warmup_epochs,
        processes=processes_of(),
    )
    module = PathsModule(
        context.dataset,
        settings.search,
        loss=context.loss(),
        micro_batch=MicroBatchSize(settings.micro_batch),
        select_by=settings.select_by,
        distillation=options.distillation,
        share=options.share,
    )
    return strategy, module


def train_elastic(
    context: TrialContext,
    folder: RunFolder,
    progress: bool,
    on_epoch: Callable[[dict[str, float]], None] | None,
) -> tuple[EASRecSpace, EpochRecord]:
    """Train the supernet, from the start or from a checkpoint.

    Every epoch validates the largest and the smallest network; :data:`BALANCE` of both selects the epoch.
    """
    settings, options = context.settings, context.settings.search
    seed_everything(settings.seed)
    space = EASRecSpace(context.space)
    strategy, module = make_elastic(context)

    def columns() -> dict[str, float]:
        warmup = strategy.oneshot_module.current_epoch < options.elastic.warmup_epochs
        smallest = inherited_figures(context, space.freeze(context.space.smallest))
        ends = module.metrics[context.figure], smallest[context.figure]
        return {
            **{f"{SMALLEST}{name}": value for name, value in smallest.items()},
            BALANCE: (ends[0] * ends[1]) ** 0.5,
            **context.space.largest.model_dump(),
            "warmup": float(warmup),
            "price": 1.0 if warmup else epoch_price(options.elastic),
            "expected_cost": 1.0,
            "argmax_cost": 1.0,
        }

    record = EpochRecord(
        folder.state,
        BALANCE,
        options.patience,
        weights=lambda: {**space.weights(), **_marks(strategy)},
        extra=columns,
        on_epoch=on_epoch,
    )
    averaged = [AveragedWeights(space, options.elastic.averaging)] if options.elastic.averaging else []
    guard = EndIfDiverged({"search.learning_rate": options.learning_rate})
    seed_rank(settings.seed)
    run_strategy(
        strategy,
        space,
        module,
        make_trainer(
            options.epochs,
            [guard, EpochOrder(), record, *averaged, SavePoint(folder.state)],
            progress,
            settings.precision,
        ),
        train_batches=context.training_batches(options.batch_size),
        validation_batches=context.selection_batches(),
        checkpoint=folder.checkpoint,
    )
    return space, record


def search_elastic(
    context: TrialContext,
    folder: RunFolder,
    progress: bool,
    on_epoch: Callable[[dict[str, float]], None] | None,
) -> Decision:
    """Train the supernet, evaluate its architectures with inherited weights, and take the best one.

    The folder gets ``front.json`` and ``architectures.csv``: every evaluated architecture with its accuracy and cost.
    """
    train_elastic(context, folder, progress, on_epoch)
    weights = folder.state / "best.safetensors"
    front = evaluate_supernet(context, weights, progress)
    write_front(front, folder.path)
    best = best_architecture(front, context)
    return Decision(best.choice, best.metrics, weights, probabilities={})


def evaluate_supernet(context: TrialContext, weights: Path, progress: bool = False) -> Front:
    """Evaluate the architectures of a space with the weights of a trained supernet.

    Parameters
    ----------
    context
        Context of the search.
    weights
        File of the supernet.
    progress
        Whether to draw a progress bar.
    """
    space = load_supernet(context.space, weights)
    limit = context.settings.search.elastic.evaluated
    always = [] if context.settings.search.budget is None else [cheapest(context)[1]]
    choices = choices_to_evaluate(context.space, limit, context.settings.seed, always)
    bar = track(choices, "architectures", transient=True, disable=not progress)
    return evaluate_architectures(context, space.freeze, bar)


def evaluate_again(
    folder: Path, data: str | None = None, evaluated: int | None = None, progress: bool = False
) -> Front:
    """Evaluate the supernet of a search folder again, and write its front.

    Parameters
    ----------
    folder
        Folder with ``architecture.json`` and ``supernet.safetensors``.
    data
        Dataset; by default the one that the folder names.
    evaluated
        Largest number of architectures; ``search.elastic.evaluated``'s default by default.
    progress
        Whether to draw a progress bar.
    """
    architecture = Architecture.read(folder / ARCHITECTURE_FILE)
    name = data or (architecture.dataset.name if architecture.dataset else None)
    if name is None:
        raise UserError(f"{folder / 'architecture.json'} names no dataset: give --data NAME")
    settings = with_recorded(architecture, TrialSettings(data=name))
    if evaluated is not None:
        settings = settings.with_parameters({"search.elastic.evaluated": evaluated})
    dataset = settings.dataset()
    check_items(architecture, dataset)
    context = TrialContext(settings, dataset, architecture.space)
    front = evaluate_supernet(context, folder / SUPERNET_FILE, progress)
    write_front(front, folder)
    return front


def best_architecture(front: Front, context: TrialContext) -> EvaluatedArchitecture:
    """Most accurate architecture within the budget; without one, that of the highest reward of accuracy and cost.

    The reward is that of a multi-trial search. The cheapest architecture is always among the evaluated ones, so that
    some meet every budget that :func:`~easrec_nni.searching.costs.check_budget` accepts.
    """
    options = context.settings.search
    table = cost_table(context, options.cost_kind)

    def cost(row: EvaluatedArchitecture) -> float:
        return table[row.choice.label][row.depth]

    if options.budget is None:
        lambda_ = options.lambda_ or 0.0
        return max(
            front.architectures,
            key=lambda row: log_linear_reward(front.accuracy(row), cost(row), lambda_, context.space.n_items),
        )
    return max((row for row in front.architectures if cost(row) <= options.budget), key=front.accuracy)


def _marks(strategy: Elastic) -> dict[str, Tensor]:
    """Entries that mark a file of weights as that of a supernet: logits of zero."""
    assert strategy.selection is not None
    return {f"{LOGITS}{label}": torch.zeros(len(names)) for label, names in strategy.selection.options.items()}
