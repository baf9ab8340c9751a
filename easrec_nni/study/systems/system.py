"""Definition of a system: a table row, as changes to the settings that all systems share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.config import SpaceConfig

if TYPE_CHECKING:  # `easrec systems` only prints a list and must not import torch
    from torch import nn

    from easrec_nni.data.dataset import Dataset
    from easrec_nni.settings.trial import TrialSettings

__all__ = ["GROUPS", "Group", "System"]

Group = Literal["sequence model", "search strategy", "control", "ablation", "second tier", "floor"]
GROUPS: tuple[Group, ...] = ("sequence model", "search strategy", "control", "ablation", "second tier", "floor")
"""Groups in the order of the tables."""


@dataclass(frozen=True)
class System:
    """One row of a table.

    Attributes
    ----------
    name
        Name on the command line and in result files.
    title
        Title in tables.
    group
        Section of a table.
    source
        Publication, in short.
    changes
        Dotted settings (as sampled by NNI) that override those shared by all systems of a study.
    fixed
        Whether the architecture is fixed: the unpruned network with all layers of the study's space. It is trained for
        as many epochs as search and retraining have together.
    baseline
        Function that makes a training-free baseline from a dataset's training part; None for a trained system.
    """

    name: str
    title: str
    group: Group
    source: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    fixed: bool = False
    baseline: Callable[[Dataset], nn.Module] | None = None

    def settings(self, base: TrialSettings, parameters: Mapping[str, Any] | None = None) -> TrialSettings:
        """Settings of this system: shared settings, its changes, then parameters such as the seed.

        Parameters
        ----------
        base
            Settings that all systems share.
        parameters
            Dotted settings of a cell, such as ``{"seed": 3, "lambda": 0.5}``.
        """
        changes = dict(self.changes)
        if self.fixed:
            space = base.with_parameters(changes).space
            layers = space.get("layers", SpaceConfig.model_fields["layers"].default)
            changes |= {"space.hidden_pruning": [0.0], "space.inner_pruning": [0.0], "space.min_depth": layers}
            changes |= {"retrain.epochs": base.search.epochs + base.retrain.epochs, "retrain.weights": "scratch"}
        return base.with_parameters({**changes, **(parameters or {})})
