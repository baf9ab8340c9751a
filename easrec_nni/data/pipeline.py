"""Preparing a dataset: read, filter, split, draw negatives, write."""

from __future__ import annotations

from collections.abc import Sequence
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
    SplitInfo,
)
from easrec_nni.data.negatives import NEGATIVES_PER_USER, PARTS, STORED_PROTOCOLS, draw_negatives
from easrec_nni.data.reading import read_log
from easrec_nni.data.reporting import LogReporter, Reporter
from easrec_nni.data.sources import NAMED, RawLog, choose_source
from easrec_nni.data.split import LeaveOneOut, check_trainable, leave_one_out
from easrec_nni.data.storage import atomic_folder, check_target, fingerprint, is_dataset_folder, write_folder

_SUFFIXES = (".gz", ".inter", ".csv", ".tsv", ".txt", ".parquet", ".pq")


def prepare(
    source: str | Path,
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
    """Prepare a dataset, or reuse it where it is already prepared from the same source with equal settings.

    Parameters
    ----------
    source : str or Path
        Name of a dataset (``ml-100k``, ``ml-1m``, ``gowalla``, ``douban``, ``synthetic-gowalla``), or path of
        local files.
    out : str, Path or None
        Folder of the result; None is ``<EASREC_HOME>/datasets/<name>``.
    path : str, Path or None
        Local files of a named dataset, instead of downloading it.
    name : str or None
        Name of the result; None takes that of the source.
    settings : PrepareSettings or None
        Filters, columns and seed; None is the default ones.
    force : bool
        Prepare anew even where there is a dataset already, and replace it.
    memory : str or None
        Memory that preparing may take, such as ``4GB``; None is half of what is there.
    spill : str, Path or None
        Folder for what does not fit into memory; None is the system's folder of temporary files.
    reporter : Reporter or None
        Is told what happens; None writes to the log.

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
    reader, local = choose_source(source, Path(path).expanduser() if path is not None else None)
    name = check_name(name) if name is not None else _default_name(source)
    target = Path(out).expanduser() if out is not None else dataset_folder(name)
    check_target(target)
    existing = read_manifest(target) if is_dataset_folder(target) and not force else None
    if existing is not None and local is None:
        info = SourceInfo(name=reader.name, local=False, files=existing.source.files)
        return _reuse(target, existing, name, settings, info, reporter)
    files = reader.locate(local, reporter)
    info = SourceInfo(name=reader.name, local=local is not None, files=_describe(files))
    if existing is not None:
        return _reuse(target, existing, name, settings, info, reporter)
    log = reader.read(files, settings, reporter)
    with Engine(memory, Path(spill).expanduser() if spill is not None else None, reporter) as engine:
        _write(engine, target, name, log, settings, info, reporter)
    return load_dataset(target.absolute())


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
    dataset.check_trainable()  # an earlier version prepared any
    reporter.note(f"already prepared with these settings, reusing {target}")
    return dataset


def _write(
    engine: Engine,
    target: Path,
    name: str,
    raw: RawLog,
    settings: PrepareSettings,
    info: SourceInfo,
    reporter: Reporter,
) -> None:
    log = encode_log(engine, read_log(engine, raw, settings, reporter), settings, reporter)
    split = leave_one_out(log.offsets)
    check_trainable(log.offsets, split, len(log.item_ids) - 1)
    features = _features(raw, log, reporter)
    reporter.step(f"drawing negatives for {len(split.eval_users)} users")
    negatives, short = _negatives(log, split, settings.seed)
    for note in raw.notes:
        reporter.note(note)
    manifest = Manifest(
        name=name,
        counts=_counts(log),
        dropped=log.dropped,
        settings=settings,
        source=info,
        split=SplitInfo(users_evaluated=len(split.eval_users), users_train_only=split.users_train_only),
        negatives=NegativesInfo(k=NEGATIVES_PER_USER, seed=settings.seed, users_short=short),
        features=tuple(_feature_info(name, feature) for name, feature in features.items()),
        fingerprint=fingerprint(log.items, log.offsets, negatives),
        package_version=_package_version(),
    )
    reporter.step(f"writing {target}")
    with atomic_folder(target) as folder:
        write_folder(folder, log, features, negatives, manifest)


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


def _negatives(log: EncodedLog, split: LeaveOneOut, seed: int) -> tuple[dict[str, NDArray[np.int32]], dict[str, int]]:
    drawn = {
        f"{protocol}_{part}": draw_negatives(
            log.items, log.offsets, split, len(log.item_ids) - 1, protocol, part, seed=seed
        )
        for protocol in STORED_PROTOCOLS
        for part in PARTS
    }
    return {key: each.items for key, each in drawn.items()}, {key: each.users_short for key, each in drawn.items()}


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


def _default_name(source: str | Path) -> str:
    if isinstance(source, str) and source in {each.name for each in NAMED}:
        return source
    stem = Path(source).expanduser().absolute().name
    while stem.endswith(_SUFFIXES):
        stem = stem[: stem.rindex(".")]
    if not is_name(stem):
        raise UserError(f"{stem!r} cannot be the name of the dataset: choose one with --name")
    return stem


def _package_version() -> str:
    try:
        return version("easrec-nni")
    except PackageNotFoundError:
        return "unknown"
