"""One-shot search: one supernet, trained with a differentiable strategy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from easrec_nni.architecture import cost
from easrec_nni.architecture.document import is_decided
from easrec_nni.architecture.weights import LOGITS
from easrec_nni.common.errors import UserError
from easrec_nni.searching.costs import CostTable, cost_table
from easrec_nni.searching.nni_engine import run_strategy
from easrec_nni.searching.option_losses import OptionLosses
from easrec_nni.searching.record import Decision, SearchRecord
from easrec_nni.searching.schedule import architecture_learning_rate, architecture_steps
from easrec_nni.training.callbacks import EpochOrder, SavePoint
from easrec_nni.training.context import TrialContext
from easrec_nni.training.divergence import EndIfDiverged
from easrec_nni.training.micro_batch_size import MicroBatchSize
from easrec_nni.training.module import SequenceModule
from easrec_nni.training.parallel import average, processes_of, seed_rank
from easrec_nni.training.run_folder import RunFolder
from easrec_nni.training.trainer import make_trainer, seed_everything
from search_spaces import EASRecSpace, SpaceConfig, candidate_label
from strategies import (
    MULTI_TRIAL_STRATEGIES,
    STRATEGIES,
    SUPERNET_STRATEGIES,
    BudgetMultiplier,
    DifferentiableStrategy,
    Selection,
    TemperatureSchedule,
)

__all__ = ["make_strategy", "option_names", "search_one_shot"]


def make_strategy(context: TrialContext, iterations: int) -> DifferentiableStrategy:
    """Differentiable strategy with the options of the settings.

    Parameters
    ----------
    context
        Context of the search.
    iterations
        Number of training batches in an epoch.

    Raises
    ------
    UserError
        There is no strategy of that name.
    """
    options = context.settings.search
    if options.strategy not in STRATEGIES:
        raise UserError(
            f"settings, search.strategy: {options.strategy!r} is unknown; choose from "
            + ", ".join([*STRATEGIES, *SUPERNET_STRATEGIES, *MULTI_TRIAL_STRATEGIES])
        )
    # Only EASRec has the dynamic constraint, and noise that can be switched off.
    extra = {"dynamic": options.dynamic, "noise": options.noise} if options.strategy == "easrec" else {}
    steps = architecture_steps(options, iterations)
    multiplier = None if options.budget is None else BudgetMultiplier(options.budget, steps)
    return STRATEGIES[options.strategy](
        _constraint_table(context),
        lambda_=options.lambda_ or 0.0,
        multiplier=multiplier,
        arch_learning_rate=architecture_learning_rate(options, iterations),
        arch_every=options.arch_every,
        temperature=TemperatureSchedule(**options.temperature.model_dump()),
        warmup_epochs=options.warmup,
        processes=processes_of(),
        **extra,
    )


def _constraint_table(context: TrialContext) -> CostTable:
    """Costs of the constraint: whole networks in the kind of the settings, or as printed single layers."""
    options = context.settings.search
    if options.constraint == "printed":
        return cost.cost_table(context.space, "printed")
    return cost_table(context, options.cost_kind)


def search_one_shot(
    context: TrialContext,
    folder: RunFolder,
    progress: bool,
    on_epoch: Callable[[dict[str, float]], None] | None,
) -> Decision:
    """Train a supernet with a differentiable strategy."""
    settings, config, options = context.settings, context.space, context.settings.search
    seed_everything(settings.seed)
    space = EASRecSpace(config)
    train_batches = context.training_batches(options.batch_size)
    strategy = make_strategy(context, len(train_batches))
    option_losses, costs = OptionLosses(context), cost_table(context, options.cost_kind)
    record = SearchRecord(
        folder.state,
        settings.select_by,
        options.patience,
        weights=lambda: {**space.weights(), **_logits(_selection(strategy))},
        extra=lambda: _epoch_columns(strategy, config, costs, option_losses(space, _selection(strategy))),
        on_epoch=on_epoch,
        strongest=lambda: config.choice(_selection(strategy).sample()),
        warmup_epochs=options.warmup,
        is_decided=lambda: is_decided(_selection(strategy).entropies()),
    )
    rates = {"search.learning_rate": options.learning_rate, "alpha and beta": strategy.arch_learning_rate}
    callbacks = [EndIfDiverged(rates), EpochOrder(), record, SavePoint(folder.state)]
    seed_rank(settings.seed)
    run_strategy(
        strategy,
        space,
        SequenceModule(
            context.dataset,
            options,
            loss=context.loss(),
            micro_batch=MicroBatchSize(settings.micro_batch),
            select_by=settings.select_by,
            calibrates=options.calibrates,
        ),
        make_trainer(options.epochs, callbacks, progress, settings.precision),
        train_batches=train_batches,
        validation_batches={
            "architecture": context.architecture_batches(),
            "selection": context.selection_batches(),
        },
        checkpoint=folder.checkpoint,
    )
    return record.decision(options.export, _selection(strategy).probabilities())


def _selection(strategy: DifferentiableStrategy) -> Selection:
    assert strategy.selection is not None  # set with the space, before the first epoch
    return strategy.selection


def _logits(selection: Selection) -> dict[str, Tensor]:
    return {f"{LOGITS}{label}": logits for label, logits in selection.logits.items()}


def _epoch_columns(
    strategy: DifferentiableStrategy, config: SpaceConfig, costs: CostTable, option_losses: dict[str, list[float]]
) -> dict[str, float]:
    """Columns of an epoch's row: architecture, cost, entropies, losses, figures by option."""
    selection, module = _selection(strategy), strategy.oneshot_module
    choice = config.choice(selection.sample())
    losses = module.epoch_losses()
    return {
        "warmup": float(module.is_warming_up),
        "hidden_pruning": choice.hidden_pruning,
        "inner_pruning": choice.inner_pruning,
        "depth": choice.depth,
        "expected_cost": module.expected_cost(),
        "argmax_cost": costs[choice.label][choice.depth],
        **({} if strategy.multiplier is None else {"multiplier": module.trade_off()}),
        "temperature": selection.temperature,
        **{f"entropy_{label}": entropy for label, entropy in selection.entropies().items()},
        **{name: float(average(torch.tensor(value))) for name, value in losses.items()},
        **_option_columns(strategy, config, option_losses),
    }


def _option_columns(
    strategy: DifferentiableStrategy, config: SpaceConfig, losses: dict[str, list[float]]
) -> dict[str, float]:
    """Columns of every option: probability, cross entropy, constraint's charge (nats)."""
    probabilities, costs = _selection(strategy).probabilities(), strategy.oneshot_module.option_costs()
    columns: dict[str, float] = {}
    for symbol, label in (("alpha", "pruning"), ("beta", "depth")):
        if label in probabilities:
            options = [f"{symbol}_{option}" for option in option_names(config)[label]]
            columns |= dict(zip(options, probabilities[label].tolist(), strict=True))
            columns |= dict(zip((f"cross_entropy_{option}" for option in options), losses[label], strict=True))
            columns |= dict(zip((f"constraint_{option}" for option in options), costs[label], strict=True))
    return columns


def option_names(config: SpaceConfig) -> dict[str, list[str]]:
    """Names of the options by label, in the order of alpha and beta."""
    return {
        "pruning": [candidate_label(*candidate) for candidate in config.candidates],
        "depth": [str(depth) for depth in config.depths],
    }
