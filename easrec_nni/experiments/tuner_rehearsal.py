"""Rehearsal of a tuner and an assessor: ``python -m easrec_nni.experiments.tuner_rehearsal < EXPERIMENT.json``.

They are made as NNI's dispatcher makes them, get the search space, and draw the first trials; results come back, and
they draw again. What would end them within the first minute of an experiment ends them here. The last line of stdout
is JSON: ``parameters`` of the trials that were drawn, or ``problem``.
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
    """What an algorithm does not take, in words of ours."""


def rehearse(document: Mapping[str, Any]) -> list[Any]:
    """Parameters that the tuner draws for the first trials.

    Parameters
    ----------
    document
        The experiment in NNI's canonical form, with a tuner that is one of NNI's or registered with it.

    Raises
    ------
    Exception
        Whatever the tuner or the assessor raises.
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
                assessor.assess_trial(trial, [{"default": 0.1 * each} for each in range(1, epoch + 1)])
            assessor.trial_end(trial, True)
    return drawn


class _Refusals(logging.Handler):
    """Collects what a tuner's own check of a search space logs, and the tuner then does not heed."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Its other findings are wrong at times, such as that a choice holds numbers and text alone.
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
    """Take a trial that a tuner sends later."""


def _make(role: str, algorithm: Mapping[str, Any]) -> Any:
    """Tuner or assessor, made by NNI; arguments that it does not have are named with those that it has."""
    name, arguments = str(algorithm["name"]), algorithm.get("classArgs") or {}
    meta = config_manager.get_algo_meta(name)
    if meta is None or meta.algo_type != role:
        raise _Refused(f"{name} is no {role} of NNI's")
    module, _, class_name = str(meta.class_name).rpartition(".")
    known = [
        each
        for each in inspect.signature(getattr(importlib.import_module(module), class_name)).parameters
        if each not in (meta.class_args or {})
    ]
    unknown = [each for each in arguments if each not in known]
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none, leave classArgs out"
        raise _Refused(f"classArgs.{unknown[0]} is no argument of {name}; {has}")
    return create_builtin_class_instance(name, dict(arguments), f"{role}s")


def main() -> int:
    """Rehearse the experiment on stdin; return the exit code."""
    try:
        answer = f'{{"parameters": {nni.dump(rehearse(json.load(sys.stdin)))}}}'
    except _Refused as error:
        answer = json.dumps({"problem": str(error)})
    except Exception as error:  # anything: the algorithms are others' code
        answer = json.dumps({"problem": f"{type(error).__name__}: {error}"})
    print(f"\n{answer}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
