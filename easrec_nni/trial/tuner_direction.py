"""Direction of tuners and assessors: trials report an NDCG, and some of NNI's tuners minimise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from easrec_nni.common.errors import UserError

__all__ = ["MINIMISES_BY_DEFAULT", "check_direction"]

MINIMISES_BY_DEFAULT = frozenset({"tpe", "tpe_legacy", "anneal"})
"""NNI's tuners (lower case) that minimise unless ``optimize_mode`` says otherwise."""


def check_direction(params: Mapping[str, Any]) -> None:
    """Refuse an experiment whose tuner or assessor would minimise, or has an invalid ``optimize_mode``.

    Parameters
    ----------
    params
        The experiment's document, from its file or from NNI's manager.

    Raises
    ------
    UserError
        The direction is wrong; the message has the line to write.

    Examples
    --------
    >>> check_direction({"assessor": {"name": "Medianstop", "classArgs": {"optimize_mode": "maximize"}}})
    >>> check_direction({"tuner": {"name": "TPE"}})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    easrec_nni.common.errors.UserError: tuner: TPE minimises by default, ...: write `classArgs: {optimize_mode:
    maximize}` under tuner
    """
    for role in ("tuner", "assessor"):
        algorithm = params.get(role)
        if isinstance(algorithm, Mapping):
            reason = _reason(algorithm)
            if reason:
                raise UserError(f"{role}: {reason}: write `classArgs: {{optimize_mode: maximize}}` under {role}")


def _reason(algorithm: Mapping[str, Any]) -> str:
    """Problem of an algorithm's direction; empty if there is none."""
    arguments = algorithm.get("classArgs") or {}
    name = str(algorithm.get("name") or "")
    mode = arguments.get("optimize_mode") if isinstance(arguments, Mapping) else None
    larger = "trials report an NDCG, the larger the better"
    if mode == "maximize":
        return ""
    if mode == "minimize":
        return f"optimize_mode is minimize, and {larger}"
    if mode is not None and name:  # a custom tuner may have modes of its own
        return f"NNI has no optimize_mode {mode!r}, and {larger}"
    if mode is None and name.lower() in MINIMISES_BY_DEFAULT:
        return f"{name} minimises by default, and {larger}"
    return ""
