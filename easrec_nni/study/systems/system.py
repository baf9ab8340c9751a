"""What a system is: a row of a table, written as changes to the settings that all systems share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.config import SpaceConfig

if TYPE_CHECKING:  # `easrec systems` prints a list, for which it need not wait for torch
    from torch import nn

    from easrec_nni.data.dataset import Dataset
    from easrec_nni.settings.trial import TrialSettings

__all__ = ["GROUPS", "Group", "System"]

Group = Literal["sequence model", "search strategy", "control", "ablation", "second tier", "floor"]
GROUPS: tuple[Group, ...] = ("sequence model", "search strategy", "control", "ablation", "second tier", "floor")
"""Groups in the order in which tables show them."""


@dataclass(frozen=True)
class System:
    """One row of a table.

    Attributes
    ----------
    name
        What the command line and the result files call it.
    title
        What a table calls it.
    group
        Its part of the table.
    source
        Who published it, in short.
    changes
        Dotted settings (as NNI samples them) that are put over the ones that all systems of a study share.
    fixed
        A network without anything to choose: the unpruned one with all layers of the study's space. It is trained for
        as many epochs as a searched one gets for search and retraining together.
    floor
        A baseline that is not trained: makes its scores from the training part of a dataset.
    """

    name: str
    title: str
    group: Group
    source: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    fixed: bool = False
    floor: Callable[[Dataset], nn.Module] | None = None

    def settings(self, base: TrialSettings, parameters: Mapping[str, Any] | None = None) -> TrialSettings:
        """Settings of this system: the shared ones, its own changes, then further parameters such as the seed.

        Parameters
        ----------
        base
            What all systems share.
        parameters
            Dotted settings of one cell, such as ``{"seed": 3, "lambda": 0.5}``.
        """
        changes = dict(self.changes)
        if self.fixed:
            space = base.with_parameters(changes).space
            layers = space.get("layers", SpaceConfig.model_fields["layers"].default)
            changes |= {"space.hidden_pruning": [0.0], "space.inner_pruning": [0.0], "space.min_depth": layers}
            changes |= {"retrain.epochs": base.search.epochs + base.retrain.epochs, "retrain.weights": "scratch"}
        return base.with_parameters({**changes, **(parameters or {})})
