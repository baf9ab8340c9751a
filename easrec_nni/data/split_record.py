"""Entry of a split in the manifest, and the sample of the evaluated users."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from easrec_nni.data.manifest import PartInfo, SplitInfo
from easrec_nni.data.split_names import LEAVE_ONE_OUT, NO_SPLIT
from easrec_nni.data.splits.base import Split, Targets
from easrec_nni.data.splits.leave_one_out import MIN_EVALUATED_LENGTH, LeaveOneOut
from easrec_nni.data.splits.point_in_time import readable_time

__all__ = ["sample_users", "split_info", "split_lines"]

EVALUATED_USERS = "evaluated_users.npy"
"""File of the sample in a dataset's folder."""

SAMPLE_STREAM = 7
"""Random stream of the sample; those of the negatives have the numbers of their protocols."""


def sample_users(split: Split, size: int | None, seed: int) -> NDArray[np.int64] | None:
    """Draw the users to evaluate, without replacement; None where all are evaluated.

    Only users with targets are drawn; the result is ascending.

    Parameters
    ----------
    split : Split
        Split whose users are drawn.
    size : int or None
        Users to draw; None, or as many as there are, evaluates all.
    seed : int
        Seed of the draw.
    """
    users = split.target_users
    if size is None or size >= len(users):
        return None
    return np.sort(np.random.default_rng([seed, SAMPLE_STREAM]).choice(users, size, replace=False))


def split_info(split: Split, sample: NDArray[np.int64] | None) -> SplitInfo:
    """Manifest entry of a split.

    Parameters
    ----------
    split : Split
        Split with the targets of all users.
    sample : ndarray of int64 or None
        Users that are evaluated; None: all.
    """
    evaluated = split if sample is None else split.of_users(sample)
    is_plain = isinstance(split, LeaveOneOut) or split.name == NO_SPLIT
    return SplitInfo(
        method=split.name,
        users_evaluated=evaluated.test.n_users,
        users_train_only=split.users_train_only,
        resolved="" if split.resolved == split.name else split.resolved,
        parts={} if is_plain else {part: _part_info(evaluated.part(part)) for part in ("valid", "test")},
        users_to_sample=None if sample is None else len(split.target_users),
    )


def _part_info(targets: Targets) -> PartInfo:
    return PartInfo(
        users=targets.n_users,
        targets=len(targets),
        repeats=targets.repeats,
        cold_users=targets.cold_users,
        cold_user_interactions=targets.cold_user_interactions,
        cold_items=targets.cold_items,
        cold_item_interactions=targets.cold_item_interactions,
    )


def split_lines(info: SplitInfo) -> list[str]:
    """Describe a split to the user, line by line.

    Examples
    --------
    >>> split_lines(SplitInfo(users_evaluated=8, users_train_only=2))
    ['evaluated users: 8 (training only, fewer than 3 interactions: 2)']
    """
    if info.method == NO_SPLIT:
        return [f"split: {NO_SPLIT}, everything trains: no figures, for a network that is served"]
    lines = []
    if info.method == LEAVE_ONE_OUT:
        lines.append(
            f"evaluated users: {info.users_evaluated}"
            f" (training only, fewer than {MIN_EVALUATED_LENGTH} interactions: {info.users_train_only})"
        )
    else:
        points = _points(info.resolved or info.method)
        lines.append(f"split: {info.method}{points}; users without any target: {info.users_train_only}")
        lines += [_part_line(name, info.parts[part]) for part, name in (("valid", "validation"), ("test", "test"))]
    if info.users_to_sample is not None:
        lines.append(
            f"evaluated users are a sample of the {info.users_to_sample} that have targets, drawn once and stored: "
            f"{EVALUATED_USERS}"
        )
    return lines


def _points(resolved: str) -> str:
    """Describe the points in time of a split; empty where it has none."""
    kind, _, points = resolved.partition(":")
    if kind != "time":
        return ""
    start, test = map(float, points.split(","))
    return f", validation from {readable_time(start)}, test from {readable_time(test)}"


def _part_line(name: str, part: PartInfo) -> str:
    left_out = [
        (part.cold_user_interactions, f"of {part.cold_users} users who have no history by then"),
        (part.cold_item_interactions, f"with items that nobody had by then ({part.cold_items} such items)"),
        (part.repeats, "that repeat a target of the same user"),
    ]
    reasons = ", ".join(f"{count} {reason}" for count, reason in left_out if count)
    targets = f"{name}: {part.targets} targets of {part.users} users"
    return f"{targets}; no targets are the interactions {reasons}" if reasons else targets
