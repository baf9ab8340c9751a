"""Trials from results files of ``nnictl experiment export`` or the web UI."""

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
from easrec_nni.experiments.trial_rows import sampled_parameters
from easrec_nni.trial.manager_api import DAMAGE, parse_result

__all__ = ["is_exported", "read_exported"]

LARGEST_FILE_BYTES = 64 << 20
LARGEST_CELL = 1 << 20  # characters of one value of a CSV file
NOWHERE = Path(os.devnull)  # folder of trials whose files are elsewhere: nothing exists below this path


def is_exported(path: Path) -> bool:
    """Whether a file contains trials' results, rather than an architecture."""
    try:
        document = _load(path)
    except UserError:
        return False
    return _entries(document) is not None


def read_exported(path: Path) -> list[Trial]:
    """Read trials from a results file, numbered from 0 in its order unless it has their numbers.

    Parameters
    ----------
    path
        JSON or CSV of ``nnictl experiment export``, the web UI's summary of an experiment, or a final result (or a list
        of them) as JSON.

    Raises
    ------
    UserError
        The file cannot be read or contains no results.
    """
    entries = _entries(_load(path))
    if entries is None:
        raise UserError(f"{path} is not a results file: give a file that `nnictl experiment export` wrote")
    try:
        trials = [_trial(entry, number) for number, entry in enumerate(entries)]
    except DAMAGE:
        raise UserError(f"{path} is damaged: write it again with `nnictl experiment export`") from None
    return sorted(trials, key=lambda trial: trial.number)


def _load(path: Path) -> Any:
    """Parse a JSON file, or a CSV file's rows with numbers converted."""
    content = read_bounded(path, LARGEST_FILE_BYTES, ": not a results file")
    try:
        text = content.decode("utf-8-sig")
        return list(_rows(text)) if path.suffix.lower() == ".csv" else json.loads(text)
    except (ValueError, RecursionError, csv.Error) as error:
        raise UserError(f"{path} is not a results file: {str(error)[:200]}") from None


def _rows(text: str) -> Iterator[dict[str, Any]]:
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        for row in csv.DictReader(io.StringIO(text)):
            cells = {name: cell for name, cell in row.items() if name is not None and isinstance(cell, str)}
            # NNI's ids are letters and digits; some, like 12e34, look like numbers.
            values = {name: cell if name == "trialJobId" else _value(cell) for name, cell in cells.items()}
            # nnictl calls a result that is one number "reward".
            yield {"default": values["reward"], **values} if "reward" in values else values
    finally:
        csv.field_size_limit(before)


def _value(cell: str) -> Any:
    """Number in a cell, or its text."""
    try:
        return float(cell)
    except ValueError:
        return cell


def _entries(document: Any) -> list[dict[str, Any]] | None:
    """Entries of trials, or None if the document is something else."""
    if isinstance(document, dict) and isinstance(document.get("trialMessage"), list):
        document = document["trialMessage"]
    if isinstance(document, dict):
        document = [document]
    if not isinstance(document, list) or not document or not all(isinstance(entry, dict) for entry in document):
        return None
    formats = ({"trialJobId", "value"}, {"trialJobId", "status"}, {"default"})  # required keys of each
    return document if all(any(keys <= entry.keys() for keys in formats) for entry in document) else None


def _trial(entry: dict[str, Any], number: int) -> Trial:
    name = str(entry.get("trialJobId", number))
    if "status" in entry:  # the web UI's summary has trials in the format of NNI's manager
        final = [parse_result(metric["data"]) for metric in entry.get("finalMetricData") or []]
        sampled = json.loads((entry.get("hyperParameters") or ["{}"])[0])
        parameters = sampled_parameters(sampled.get("parameters", {}))
        number = int(entry.get("sequenceId", number))
        return Trial(name, number, str(entry["status"]), dict(parameters), NOWHERE, (), final[-1] if final else None)
    if "value" in entry and "default" not in entry:
        parameters = sampled_parameters(dict(entry.get("parameter") or {}))
        return Trial(name, number, "SUCCEEDED", parameters, NOWHERE, (), parse_result(entry["value"]))
    final_result = {key: value for key, value in entry.items() if key != "trialJobId"}
    return Trial(name, number, "SUCCEEDED", {}, NOWHERE, (), final_result)
