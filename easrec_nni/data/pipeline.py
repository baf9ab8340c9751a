"""Preparing a dataset: read, filter, split, draw negatives, write."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easrec_nni.common.errors import UserError
from easrec_nni.data.dataset import Dataset
from easrec_nni.data.download import file_digest
from easrec_nni.data.encode import EncodedFeature, EncodedLog, encode_feature, encode_log
from easrec_nni.data.engine import Engine
from easrec_nni.data.home import check_name, dataset_folder, is_name
from easrec_nni.data.loading import load_dataset, read_manifest
from easrec_nni.data.manifest import (
    Counts,
    FeatureInfo,
    Manifest,
    NegativesInfo,
    PrepareSettings,
    SourceFile,
    SourceInfo,
)
from easrec_nni.data.negatives import NEGATIVES_PER_USER, PARTS, STORED_PROTOCOLS, draw_negatives
from easrec_nni.data.reading import read_log
from easrec_nni.data.reporting import LogReporter, Reporter
from easrec_nni.data.sources import NAMED, RawLog, Source, choose_sources
from easrec_nni.data.sources.delimited import readable
from easrec_nni.data.sources.table import SUFFIXES
from easrec_nni.data.split_record import sample_users, split_info
from easrec_nni.data.splits import Interactions, Split, check_split, make_split
from easrec_nni.data.splits.checks import check_trainable
from easrec_nni.data.storage import atomic_folder, check_target, fingerprint, is_dataset_folder, write_folder
from easrec_nni.data.summary import LogSummary


def prepare(
    source: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    path: str | Path | None = None,
    name: str | None = None,
    settings: PrepareSettings | None = None,
    force: bool = False,
    memory: str | None = None,
    spill: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Dataset:
    """Prepare a dataset, or reuse one prepared from the same source with equal settings.

    Parameters
    ----------
    source : str, Path or sequence of these
        Name of a dataset (``ml-100k``, ``ml-1m``, ``gowalla``, ``douban``, ``amazon-beauty``, ``amazon-toys``,
        ``amazon-sports``, ``synthetic-gowalla``), or paths of local files of the same columns: files, a folder of
        parts, a pattern such as ``logs/*.csv``, or ``-`` for the input of a pipe.
    out : str, Path or None
        Folder of the result; None is ``<EASREC_HOME>/datasets/<name>``.
    path : str, Path or None
        Local files of a named dataset, instead of downloading it.
    name : str or None
        Name of the result; None takes that of the source.
    settings : PrepareSettings or None
        Filters, columns and seed; None uses the defaults.
    force : bool
        Prepare again even if there is a dataset already, and replace it.
    memory : str or None
        Memory that preparing may take, such as ``4GB``; None is half of what is available.
    spill : str, Path or None
        Folder for what does not fit into memory; None is the system's folder of temporary files.
    reporter : Reporter or None
        Receives the progress; None writes to the log.

    Returns
    -------
    Dataset
        The prepared dataset, opened.

    Raises
    ------
    UserError
        If something is wrong with the source, the settings or the folder. Then nothing is written.
    """
    settings, reporter = settings or PrepareSettings(), reporter or LogReporter()
    check_split(settings.split)
    with _spooled(source) as spooled:
        reader, local = choose_sources(spooled, Path(path).expanduser() if path is not None else None)
        name = check_name(name) if name is not None else _default_name(source)
        target = Path(out).expanduser() if out is not None else dataset_folder(name)
        check_target(target)
        existing = read_manifest(target) if is_dataset_folder(target) and not force else None
        if existing is not None and local is None:
            info = SourceInfo(name=reader.name, local=False, files=existing.source.files)
            return _reuse(target, existing, name, settings, info, reporter)
        files = _locate_files(reader, local, reporter)
        info = SourceInfo(name=reader.name, local=local is not None, files=_describe(files))
        if existing is not None:
            return _reuse(target, existing, name, settings, info, reporter)
        raw = reader.read(files, settings, reporter)
        with Engine(memory, _folder(spill), reporter) as engine:
            log = _read_and_encode(engine, raw, settings, reporter)
            _write(target, name, raw, log, settings, info, reporter)
    return load_dataset(target.absolute())


def preview(
    source: str | Path | Sequence[str | Path],
    *,
    path: str | Path | None = None,
    settings: PrepareSettings | None = None,
    memory: str | None = None,
    spill: str | Path | None = None,
    reporter: Reporter | None = None,
) -> LogSummary:
    """Summarize how `prepare` would understand a log, and write nothing.

    Parameters
    ----------
    source, path, settings, memory, spill, reporter
        As for `prepare`.

    Returns
    -------
    LogSummary
        Columns, times, rows kept and dropped, and decisions that the user may want to change.

    Raises
    ------
    UserError
        As for `prepare`.
    """
    settings, reporter = settings or PrepareSettings(), reporter or LogReporter()
    check_split(settings.split)
    with _spooled(source) as spooled:
        reader, local = choose_sources(spooled, Path(path).expanduser() if path is not None else None)
        raw = reader.read(_locate_files(reader, local, reporter), settings, reporter)
        with Engine(memory, _folder(spill), reporter) as engine:
            log = _read_and_encode(engine, raw, settings, reporter)
            _split(raw, log, settings)  # refuses what does not suit the log
            return log.summary


@contextmanager
def _spooled(source: str | Path | Sequence[str | Path]) -> Iterator[str | Path | Sequence[str | Path]]:
    """Yield the source, or a temporary file with the piped input where it is ``-``."""
    if str(source) != "-":
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="easrec-") as folder:
        file = Path(folder) / "pipe"
        with file.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
        yield file


def _locate_files(reader: Source, local: tuple[Path, ...] | None, reporter: Reporter) -> tuple[Path, ...]:
    if local is None:
        return reader.locate(None, reporter)
    return tuple(file for path in local for file in reader.locate(path, reporter))


def _folder(path: str | Path | None) -> Path | None:
    return Path(path).expanduser() if path is not None else None


def _read_and_encode(engine: Engine, raw: RawLog, settings: PrepareSettings, reporter: Reporter) -> EncodedLog:
    """Read, number and sort a log, and report how it was understood."""
    with readable(raw.table.label):
        log = encode_log(engine, read_log(engine, raw, settings, reporter), settings, reporter)
    reporter.understood(log.summary.lines)
    for note in (*raw.notes, *log.summary.notes):
        reporter.note(note)
    return log


def _reuse(
    target: Path, existing: Manifest, name: str, settings: PrepareSettings, info: SourceInfo, reporter: Reporter
) -> Dataset:
    old, new = existing.settings.model_dump(), settings.model_dump()
    differences = [f"{key} {old[key]} instead of {new[key]}" for key in new if old[key] != new[key]]
    if existing.name != name:
        differences.append(f"name {existing.name} instead of {name}")
    if existing.source != info:
        differences.append("other source files")
    if differences:
        raise UserError(
            f"{target} was prepared differently ({', '.join(differences)}): "
            "pass --force to replace it, or another --name or --out to keep both"
        )
    dataset = load_dataset(target.absolute())
    # Earlier versions also prepared datasets that leave too little to train or evaluate.
    check_trainable(dataset.offsets, dataset.split, dataset.n_items, f"the dataset {dataset.name}: ")
    reporter.note(f"already prepared with these settings, reusing {target}")
    return dataset


def _write(
    target: Path,
    name: str,
    raw: RawLog,
    log: EncodedLog,
    settings: PrepareSettings,
    info: SourceInfo,
    reporter: Reporter,
) -> None:
    split = _split(raw, log, settings)
    sample = sample_users(split, settings.evaluate_users, settings.seed)
    split_entry = split_info(split, sample)
    if sample is not None:
        split = split.of_users(sample)
    check_trainable(log.offsets, split, len(log.item_ids) - 1)
    features = _features(raw, log, reporter)
    reporter.step(f"drawing negatives for {split_entry.users_evaluated} users")
    negatives, short = _negatives(log, split, settings.seed)
    manifest = Manifest(
        name=name,
        counts=_counts(log),
        dropped=log.dropped,
        understood=log.summary.lines,
        settings=settings,
        source=info,
        split=split_entry,
        negatives=NegativesInfo(k=NEGATIVES_PER_USER, seed=settings.seed, users_short=short),
        features=tuple(_feature_info(name, feature) for name, feature in features.items()),
        fingerprint=fingerprint(log.items, log.offsets, negatives, split, sample),
        package_version=_package_version(),
    )
    reporter.step(f"writing {target}")
    with atomic_folder(target) as folder:
        write_folder(folder, log, features, negatives, manifest, sample)


def _split(raw: RawLog, log: EncodedLog, settings: PrepareSettings) -> Split:
    """Split a log; a split at points in time needs times."""
    split = make_split(settings.split, Interactions(log.items, log.offsets, log.times, log.per_second))
    if split.has_points and not raw.columns.places.keys() & {"time", "date", "clock"}:
        raise UserError(
            f"--split {split.name}: the log has no times, only an order: split it by --split last:K, or leave-one-out"
        )
    return split


def _features(raw: RawLog, log: EncodedLog, reporter: Reporter) -> dict[str, EncodedFeature]:
    features: dict[str, EncodedFeature] = {}
    for name, table in raw.features.items():
        feature = encode_feature(table, log.item_ids)
        if feature.unused_items:
            reporter.note(f"{feature.unused_items} items have a {name} but no interactions: not used")
        if len(feature.values) == 0:
            reporter.note(f"no item has a {name}: feature not used")
        else:
            features[name] = feature
    return features


def _negatives(log: EncodedLog, split: Split, seed: int) -> tuple[dict[str, NDArray[np.int32]], dict[str, int]]:
    drawn = {
        f"{protocol}_{part}": draw_negatives(
            log.items, log.offsets, split, len(log.item_ids) - 1, protocol, part, seed=seed
        )
        for protocol in STORED_PROTOCOLS
        for part in PARTS
    }
    return {key: draw.items for key, draw in drawn.items()}, {key: draw.users_short for key, draw in drawn.items()}


def _counts(log: EncodedLog) -> Counts:
    users, items, interactions = len(log.user_ids), len(log.item_ids) - 1, len(log.items)
    return Counts(
        users=users,
        items=items,
        interactions=interactions,
        interactions_per_user=interactions / users,
        interactions_per_item=interactions / items,
    )


def _feature_info(name: str, feature: EncodedFeature) -> FeatureInfo:
    empty = int(np.count_nonzero(np.diff(feature.offsets[1:]) == 0))
    return FeatureInfo(name=name, values=len(feature.vocabulary) - 1, items_without=empty)


def _describe(files: Sequence[Path]) -> tuple[SourceFile, ...]:
    try:
        return tuple(SourceFile(name=file.name, sha256=file_digest(file), bytes=file.stat().st_size) for file in files)
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error


def _default_name(source: str | Path | Sequence[str | Path]) -> str:
    if not isinstance(source, str | Path):
        return _default_name(source[0])
    if isinstance(source, str) and source in {dataset.name for dataset in NAMED}:
        return source
    stem = Path(source).expanduser().absolute().name
    while stem.endswith(SUFFIXES):
        stem = stem[: stem.rindex(".")]
    if not is_name(stem):
        raise UserError(f"{stem!r} cannot be the name of the dataset: choose one with --name")
    return stem


def _package_version() -> str:
    try:
        return version("easrec-nni")
    except PackageNotFoundError:
        return "unknown"
