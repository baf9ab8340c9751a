"""Trials from files: what ``nnictl experiment export`` and the web UI write, or a trial's final result by itself."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_bounded
from easrec_nni.experiments.experiment import Trial
from easrec_nni.experiments.trial_rows import shown_parameters
from easrec_nni.trial.manager_api import DAMAGE, parse_result

__all__ = ["is_exported", "read_exported"]

LARGEST_FILE_BYTES = 64 << 20
LARGEST_CELL = 1 << 20  # characters of one value of a CSV file
NOWHERE = Path(os.devnull)  # the trials' files are on some other machine; nothing lies below this path


def is_exported(path: Path) -> bool:
    """Whether a file holds trials' results, so that it is no architecture file."""
    try:
        document = _load(path)
    except UserError:
        return False
    return _entries(document) is not None


def read_exported(path: Path) -> list[Trial]:
    """Trials of a file, numbered from 0 in its order unless it knows their numbers.

    Parameters
    ----------
    path
        JSON or CSV of ``nnictl experiment export``, the web UI's summary of an experiment, or a final result (or a list
        of them) as JSON.

    Raises
    ------
    UserError
        The file cannot be read or holds no results.
    """
    entries = _entries(_load(path))
    if entries is None:
        raise UserError(f"{path} holds no results of trials: give a file that `nnictl experiment export` wrote")
    try:
        trials = [_trial(entry, number) for number, entry in enumerate(entries)]
    except DAMAGE:
        raise UserError(f"{path} is damaged: `nnictl experiment export` writes it again") from None
    return sorted(trials, key=lambda trial: trial.number)


def _load(path: Path) -> Any:
    """The file's document; a CSV file's rows with JSON's numbers in them."""
    content = read_bounded(path, LARGEST_FILE_BYTES, ": not a file of results")
    try:
        text = content.decode("utf-8-sig")
        return list(_rows(text)) if path.suffix.lower() == ".csv" else json.loads(text)
    except (ValueError, RecursionError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as results: {str(error)[:200]}") from None


def _rows(text: str) -> Iterator[dict[str, Any]]:
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        for row in csv.DictReader(io.StringIO(text)):
            cells = {name: cell for name, cell in row.items() if name is not None and isinstance(cell, str)}
            # NNI's ids are letters and digits, of which 12e34 would be a number.
            values = {name: cell if name == "trialJobId" else _value(cell) for name, cell in cells.items()}
            # nnictl calls a result that is one number "reward".
            yield {"default": values["reward"], **values} if "reward" in values else values
    finally:
        csv.field_size_limit(before)


def _value(cell: str) -> Any:
    """Number of a cell, or its text."""
    try:
        return float(cell)
    except ValueError:
        return cell


def _entries(document: Any) -> list[dict[str, Any]] | None:
    """Entries that stand for trials, or None if the document is something else."""
    if isinstance(document, dict) and isinstance(document.get("trialMessage"), list):
        document = document["trialMessage"]
    if isinstance(document, dict):
        document = [document]
    if not isinstance(document, list) or not document or not all(isinstance(entry, dict) for entry in document):
        return None
    keys = ({"trialJobId", "value"}, {"trialJobId", "status"}, {"default"})
    return document if all(any(known <= entry.keys() for known in keys) for entry in document) else None


def _trial(entry: dict[str, Any], number: int) -> Trial:
    name = str(entry.get("trialJobId", number))
    if "status" in entry:  # the web UI's summary holds trials as NNI's manager does
        final = [parse_result(each["data"]) for each in entry.get("finalMetricData") or []]
        sampled = json.loads((entry.get("hyperParameters") or ["{}"])[0])
        parameters = shown_parameters(sampled.get("parameters", {}))
        number = int(entry.get("sequenceId", number))
        return Trial(name, number, str(entry["status"]), dict(parameters), NOWHERE, (), final[-1] if final else None)
    if "value" in entry and "default" not in entry:
        parameters = shown_parameters(dict(entry.get("parameter") or {}))
        return Trial(name, number, "SUCCEEDED", parameters, NOWHERE, (), parse_result(entry["value"]))
    final_result = {key: value for key, value in entry.items() if key != "trialJobId"}
    return Trial(name, number, "SUCCEEDED", {}, NOWHERE, (), final_result)
