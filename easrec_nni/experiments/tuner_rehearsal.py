"""Rehearsal of a tuner and an assessor.

Usage: ``python -m easrec_nni.experiments.tuner_rehearsal < EXPERIMENT.json``.

They are created as by NNI's dispatcher, get the search space, draw the first trials, receive results and draw again.
Errors of the first minute of an experiment thus occur here. The last line of stdout is JSON: ``parameters`` of the
drawn trials, or ``problem``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import nni
from nni.tools.package_utils import config_manager, create_builtin_class_instance

__all__ = ["rehearse"]

EPOCHS = 3


class _Refused(Exception):
    """An algorithm's refusal, in a message of this module."""


def rehearse(document: Mapping[str, Any]) -> list[Any]:
    """Rehearse an experiment; return the parameters that the tuner draws for the first trials.

    Parameters
    ----------
    document
        Experiment in NNI's canonical form, with a tuner of NNI's or one registered with it.

    Raises
    ------
    Exception
        Any error of the tuner or the assessor.
    """
    tuner = _make("tuner", document["tuner"])
    with _logged_refusals() as refusals:
        tuner.update_search_space(document["searchSpace"])
    if refusals:
        raise _Refused(refusals[0])
    at_once = min(int(document["trialConcurrency"]), int(document.get("maxTrialNumber") or sys.maxsize))
    drawn = list(tuner.generate_multiple_parameters(list(range(at_once)), st_callback=_ignore))
    if not drawn:
        raise _Refused("it draws no trial from this search space")
    for number, parameters in enumerate(drawn):
        tuner.receive_trial_result(number, parameters, {"default": 0.1 + 0.01 * number})
        tuner.trial_end(number, True)
    tuner.generate_multiple_parameters([len(drawn)], st_callback=_ignore)
    if document.get("assessor"):
        assessor = _make("assessor", document["assessor"])
        for trial in ("first", "second"):
            for epoch in range(1, EPOCHS + 1):
                assessor.assess_trial(trial, [{"default": 0.1 * step} for step in range(1, epoch + 1)])
            assessor.trial_end(trial, True)
    return drawn


class _Refusals(logging.Handler):
    """Log handler that collects errors of NNI's search space validation, which tuners ignore."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Other messages may be false alarms, such as that a choice must contain only numbers and text.
        if "unsupported type" in record.getMessage():
            self.messages.append(record.getMessage())


@contextmanager
def _logged_refusals() -> Iterator[list[str]]:
    handler, logger = _Refusals(), logging.getLogger("nni.common.hpo_utils.validation")
    logger.addHandler(handler)
    try:
        yield handler.messages
    finally:
        logger.removeHandler(handler)


def _ignore(*arguments: Any, **options: Any) -> None:
    """Callback for trials that a tuner sends later; ignores them."""


def _make(role: str, algorithm: Mapping[str, Any]) -> Any:
    """Create a tuner or assessor with NNI; refuse unknown arguments, naming the valid ones."""
    name, arguments = str(algorithm["name"]), algorithm.get("classArgs") or {}
    meta = config_manager.get_algo_meta(name)
    if meta is None or meta.algo_type != role:
        raise _Refused(f"NNI has no {role} named {name}")
    module, _, class_name = str(meta.class_name).rpartition(".")
    valid = [
        argument
        for argument in inspect.signature(getattr(importlib.import_module(module), class_name)).parameters
        if argument not in (meta.class_args or {})
    ]
    unknown = [argument for argument in arguments if argument not in valid]
    if unknown:
        has = f"it has {', '.join(valid)}" if valid else "it has none, leave classArgs out"
        raise _Refused(f"classArgs.{unknown[0]} is not an argument of {name}; {has}")
    return create_builtin_class_instance(name, dict(arguments), f"{role}s")


def main() -> int:
    """Rehearse the experiment on stdin; return the exit code."""
    try:
        answer = f'{{"parameters": {nni.dump(rehearse(json.load(sys.stdin)))}}}'
    except _Refused as error:
        answer = json.dumps({"problem": str(error)})
    except Exception as error:  # any error: the algorithms are third-party code
        answer = json.dumps({"problem": f"{type(error).__name__}: {error}"})
    print(f"\n{answer}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
