"""Answers from an architecture table, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import ValidationError

from easrec_nni.architecture.cost_kinds import COST_FIGURES, kinds_in
from easrec_nni.common.errors import UserError
from easrec_nni.common.hints import did_you_mean
from easrec_nni.common.pareto import pareto_front
from easrec_nni.common.validation import first_problem
from easrec_nni.tabular.documents import TableDocument, read_table
from search_spaces.config import Choice

__all__ = ["ArchitectureTable", "TableEntry"]

ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)  # a table's entries compare by identity
class TableEntry:
    """Architecture of a table, with its costs and the figures of its runs.

    Attributes
    ----------
    choice
        The architecture.
    costs
        Costs by name.
    runs
        Figures by seed: ``runs[seed]["test_ndcg@10_unseen"]``.
    """

    choice: Choice
    costs: Mapping[str, float]
    runs: Mapping[int, Mapping[str, float]]

    def __str__(self) -> str:
        return f"{self.choice.label}, depth {self.choice.depth}"

    def mean(self, figure: str) -> float:
        """Mean of a figure over the seeds."""
        return float(np.mean([values[figure] for values in self.runs.values()]))

    def deviation(self, figure: str) -> float | None:
        """Sample standard deviation of a figure over the seeds; None for one seed."""
        values = [values[figure] for values in self.runs.values()]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


class ArchitectureTable:
    """Table of the architectures of a space, each trained from scratch with several seeds.

    Parameters
    ----------
    document
        Contents of the file.

    Attributes
    ----------
    space
        Space of the architectures.
    entries
        Architectures with at least one run, in the order of the space.
    """

    def __init__(self, document: TableDocument) -> None:
        self.document, self.space = document, document.space
        runs: list[dict[int, dict[str, float]]] = [{} for _ in document.architectures]
        for row in document.runs:
            runs[row.architecture][row.seed] = dict(zip(document.figures, row.values, strict=True))
        self.entries = [
            TableEntry(row.choices, row.cost, values)
            for row, values in zip(document.architectures, runs, strict=True)
            if values
        ]
        if not self.entries:
            raise UserError("the table has no runs: `easrec table build` trains them")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a table's file.

        Raises
        ------
        UserError
            The file cannot be read, is damaged or has no runs.
        """
        return cls(read_table(Path(path)))

    @property
    def selecting(self) -> str:
        """Figure that chooses between architectures, such as ``valid_ndcg@10_unseen``."""
        return f"valid_{self.document.select_by}"

    @property
    def tested(self) -> str:
        """The same metric on test."""
        return f"test_{self.document.select_by}"

    @cached_property
    def cost_kinds(self) -> list[str]:
        """Kinds of cost that every architecture has; the first one is the default."""
        return kinds_in([entry.costs for entry in self.entries])

    def query(self, choice: Choice | dict[str, Any]) -> TableEntry:
        """Entry of an architecture.

        Parameters
        ----------
        choice
            An architecture in one of the forms of :meth:`.SpaceConfig.choice`.

        Raises
        ------
        UserError
            It is not in the space, or has no run yet.
        """
        wanted = self._checked(choice)
        for entry in self.select(**wanted.model_dump()):
            return entry
        raise UserError(f"{wanted.label}, depth {wanted.depth} has no run in this table yet")

    def _checked(self, choice: Choice | dict[str, Any]) -> Choice:
        try:
            return self.space.choice(choice)
        except ValidationError as error:
            raise UserError(f"the table has no such architecture: {first_problem(error, Choice)}") from None
        except ValueError as error:
            raise UserError(f"the table has no such architecture: {error}") from None

    def cost(self, entry: TableEntry, kind: str | None = None) -> float:
        """Cost of an architecture.

        Parameters
        ----------
        entry
            Entry of the table.
        kind
            Kind of :attr:`cost_kinds`; the default by default.

        Raises
        ------
        UserError
            The table has no such cost.
        """
        return entry.costs[COST_FIGURES[self.check_kind(kind)]]

    def check_kind(self, kind: str | None) -> str:
        """A kind of cost that the table has; its default for None.

        Raises
        ------
        UserError
            The table has no such cost.
        """
        if not self.cost_kinds:
            raise UserError("the table has no costs: `easrec table collect` writes them")
        if kind is not None and kind not in self.cost_kinds:
            raise UserError(f"the table has no cost {kind!r}; choose from {', '.join(self.cost_kinds)}")
        return kind or self.cost_kinds[0]

    def check_figure(self, figure: str | None) -> str:
        """A figure that the table has; :attr:`selecting` for None.

        Raises
        ------
        UserError
            The table has no such figure.
        """
        figure = figure or self.selecting
        if figure not in self.document.figures:
            raise UserError(f"the table has no figure {figure!r}; {did_you_mean(figure, self.document.figures)}")
        return figure

    @property
    def largest(self) -> TableEntry:
        """Entry of the unpruned network.

        Raises
        ------
        UserError
            It has no run yet.
        """
        return self.query(self.space.largest)

    def select(self, **options: float) -> list[TableEntry]:
        """Entries with the given options, such as ``depth=1, hidden_pruning=0.5``.

        Raises
        ------
        UserError
            An option is not in the space.
        """
        for name, value in options.items():
            # Checked as an architecture, so that there is one message for options that are not in the space.
            self._checked({**self.space.largest.model_dump(), name: value})
        return [
            entry
            for entry in self.entries
            if all(abs(getattr(entry.choice, name) - value) < ROUNDING for name, value in options.items())
        ]

    def within(self, max_cost: float | str, kind: str | None = None) -> list[TableEntry]:
        """Entries of at most a cost.

        Parameters
        ----------
        max_cost
            Cost in its unit; or as text, also with a percent sign, relative to the unpruned network.
        kind
            Kind of cost; the default by default.

        Raises
        ------
        UserError
            The text is not a cost.
        """
        limit = self._limit(max_cost, kind) if isinstance(max_cost, str) else max_cost
        return [entry for entry in self.entries if self.cost(entry, kind) <= limit]

    def _limit(self, text: str, kind: str | None) -> float:
        try:
            number = float(text.strip().removesuffix("%"))
        except ValueError:
            number = -1.0
        if not (0 <= number < float("inf")):
            raise UserError(f"{text!r} is not a cost: give 40% of the unpruned network's, or a number such as 1e6")
        # A cost of exactly that share counts, whatever the rounding of the product.
        return number / 100 * self.cost(self.largest, kind) * (1 + ROUNDING) if text.strip().endswith("%") else number

    def front(self, kind: str | None = None, figure: str | None = None) -> list[TableEntry]:
        """Entries that no other beats in cost and figure (means over seeds), cheapest first.

        Parameters
        ----------
        kind
            Kind of cost; the default by default.
        figure
            Figure to maximise; :attr:`selecting` by default.
        """
        name = self.check_figure(figure)
        points = [(self.cost(entry, kind), entry.mean(name)) for entry in self.entries]
        return [self.entries[place] for place in pareto_front(points)]
