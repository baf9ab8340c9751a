"""Direction of tuners and assessors: trials report an NDCG, and some of NNI's tuners look for the smallest result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from easrec_nni.common.errors import UserError

__all__ = ["MINIMISES_BY_DEFAULT", "check_direction"]

MINIMISES_BY_DEFAULT = frozenset({"tpe", "tpe_legacy", "anneal"})
"""NNI's tuners, in small letters, that look for the smallest result unless ``optimize_mode`` says otherwise."""


def check_direction(params: Mapping[str, Any]) -> None:
    """Refuse an experiment whose tuner or assessor would prefer the smallest NDCG, or dies of its ``optimize_mode``.

    Parameters
    ----------
    params
        The experiment's document, as its file or NNI's manager has it.

    Raises
    ------
    UserError
        With the line to write.

    Examples
    --------
    >>> check_direction({"assessor": {"name": "Medianstop", "classArgs": {"optimize_mode": "maximize"}}})
    >>> check_direction({"tuner": {"name": "TPE"}})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    easrec_nni.common.errors.UserError: tuner: TPE minimises unless ... `classArgs: {optimize_mode: maximize}` under
    tuner
    """
    for role in ("tuner", "assessor"):
        algorithm = params.get(role)
        if isinstance(algorithm, Mapping):
            reason = _reason(algorithm)
            if reason:
                raise UserError(f"{role}: {reason}: write `classArgs: {{optimize_mode: maximize}}` under {role}")


def _reason(algorithm: Mapping[str, Any]) -> str:
    """What is wrong; empty if nothing is."""
    arguments = algorithm.get("classArgs") or {}
    name = str(algorithm.get("name") or "")
    mode = arguments.get("optimize_mode") if isinstance(arguments, Mapping) else None
    larger = "trials report an NDCG, the larger the better"
    if mode == "maximize":
        return ""
    if mode == "minimize":
        return f"optimize_mode is minimize, and {larger}"
    if mode is not None and name:  # a tuner of the user's own may have words of its own
        return f"NNI has no optimize_mode {mode!r}, and {larger}"
    if mode is None and name.lower() in MINIMISES_BY_DEFAULT:
        return f"{name} minimises unless it is told otherwise, and {larger}"
    return ""
