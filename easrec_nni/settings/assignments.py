"""Settings on the command line: ``--set KEY=VALUE``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from easrec_nni.common.errors import UserError

__all__ = ["read_assignments"]


def read_assignments(pairs: Sequence[str] | None) -> dict[str, Any]:
    """Parse KEY=VALUE pairs into values by dotted key; values are YAML, as in a settings file.

    Raises
    ------
    UserError
        A pair does not have the form KEY=VALUE, or its value is not valid YAML.

    Examples
    --------
    >>> read_assignments(["search.epochs=3", "space.hidden_pruning=[0, 0.5]"])
    {'search.epochs': 3, 'space.hidden_pruning': [0, 0.5]}
    """
    values: dict[str, Any] = {}
    for pair in pairs or []:
        name, separator, value = pair.partition("=")
        if not separator:
            raise UserError(f"--set {pair}: write KEY=VALUE, such as --set search.epochs=20")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {pair}: the value is not valid YAML") from None
    return values
