"""Settings on the command line: ``--set KEY=VALUE``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.yaml_files import safe_value

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
        if not separator or not value.strip():
            raise UserError(f"--set {pair}: write KEY=VALUE, such as --set search.epochs=20 (null for no value)")
        try:
            values[name] = safe_value(value)
        except UserError as error:
            raise UserError(f"--set {pair}: {error.message}") from None
    return values
