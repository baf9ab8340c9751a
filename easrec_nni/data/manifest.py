"""The manifest of a prepared dataset, and the settings that it was prepared with."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from easrec_nni.data.split_names import LEAVE_ONE_OUT

FORMAT_VERSION = 2
"""Version of the dataset folder that is written. In 1, all ids took the length of the longest."""

READ_VERSIONS = (1, 2)
"""Versions that are read; every other one is refused."""

MANIFEST_NAME = "manifest.json"

DatasetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""Name of a dataset, which becomes the name of folders (see `easrec_nni.data.home.check_name`)."""

SplitName = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,98}[!-~])?$")]
"""A split with its argument, such as ``time:90%``: it is shown in terminals, which obey some characters."""

FeatureName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]
"""Name of an item feature, which is also the beginning of its files' names."""


def feature_name(text: str) -> str:
    """Turn a column's name into the name of an item feature (other characters become ``_``)."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "_", text.strip())[:100]
    return cleaned if cleaned and cleaned[0] not in ".-" else "_" + cleaned[:99]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    later: ClassVar[tuple[str, ...]] = ()
    """Fields that came later: JSON leaves them out where they have their default, so that folders stay the same."""

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        values = handler(self)
        if not info.mode_is_json():
            return values
        unused = {name for name in self.later if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in values.items() if name not in unused}


class PrepareSettings(_Model):
    """Everything besides the source that decides what a prepared dataset holds.

    Attributes
    ----------
    min_user_interactions, min_item_interactions : int
        Users and items with fewer interactions are dropped repeatedly until none is left (k-core).
    min_rating : float or None
        Interactions with a lower rating are dropped. None keeps all and reads no ratings.
    drop_duplicates : bool
        Drop rows that repeat user, item and time of an earlier row. The same item at another time stays.
    drop_invalid : bool
        Drop (and count) rows without user, item or readable time instead of refusing the file.
    user_column, item_column, time_column, rating_column : str or None
        Columns of a table; None looks for common names.
    delimiter : str or None
        Separator of the columns of a text table; None decides by the file's name and first line.
    encoding : str or None
        Encoding of a text table; None is UTF-8, or the encoding of the dataset's publisher.
    quote : str or None
        Character around values of a text table; "none" for no such character; None decides by the rows.
    header : bool or None
        Whether the first line of a text table has the columns' names; without one, columns are called 1, 2, ...
        None expects a header, and refuses a first line that looks like data.
    layout : {"auto", "rows", "sequences"}
        Whether a line of a text is an interaction, or a user and all its items in the order of time.
    clock_column : str or None
        Column of a time of day, which belongs to the date in the time column.
    order_is_time : bool
        Whether the order of the rows is the time, whatever columns there are.
    newest_first : bool
        Whether interactions of a user at equal times lie from new to old, instead of from old to new.
    time_format : str or None
        Format of times as strptime has it; None looks for common ones.
    time_unit : {"auto", "number", "mixed", "s", "ms", "us", "ns"}
        Unit of times that are numbers: auto tells it by their size and refuses two units in one column, mixed brings
        them to the finest, and number takes them for plain numbers.
    keep_missing_words : bool
        Whether ids such as NULL, None or nan are ids, instead of missing values.
    normalize_ids : {"none", "trim", "lower"}
        Whether ids are taken as they are, without white space around them, or in lower case besides.
    where : str or None
        Expression over the columns; interactions for which it does not hold are dropped.
    since, until : str or None
        First time that is kept, and first that is not: a date, or a number in the unit of the log.
    collapse_repeats : bool
        Drop interactions with the item that the user had right before.
    seed : int
        Seed of the sampled negatives, of the sample of users, and of the log itself where it is synthetic.
    split : str
        Which interactions train and which are targets: a name of `easrec_nni.data.splits.SPLITS` and its argument.
    evaluate_users : int or None
        Users to evaluate at most, drawn at random; None evaluates all.
    """

    later = ("split", "evaluate_users")

    min_user_interactions: int = Field(default=1, ge=1)
    min_item_interactions: int = Field(default=1, ge=1)
    min_rating: float | None = Field(default=None, allow_inf_nan=False)
    drop_duplicates: bool = True
    drop_invalid: bool = False
    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    rating_column: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    quote: str | None = None
    header: bool | None = None
    layout: Literal["auto", "rows", "sequences"] = "auto"
    clock_column: str | None = None
    order_is_time: bool = False
    newest_first: bool = False
    time_format: str | None = None
    time_unit: Literal["auto", "number", "mixed", "s", "ms", "us", "ns"] = "auto"
    keep_missing_words: bool = False
    normalize_ids: Literal["none", "trim", "lower"] = "none"
    where: str | None = None
    since: str | None = None
    until: str | None = None
    collapse_repeats: bool = False
    seed: int = Field(default=0, ge=0)
    split: SplitName = LEAVE_ONE_OUT
    evaluate_users: int | None = Field(default=None, ge=2)


class SourceFile(_Model):
    """File that the dataset was read from, without its folder, so that manifests can be shared."""

    name: str
    sha256: str
    bytes: int


class SourceInfo(_Model):
    """Source of the interactions: its name, and whether its files were given by path."""

    name: str
    local: bool
    files: tuple[SourceFile, ...]


class Counts(_Model):
    """Size of the dataset. No count has a padding entry in it."""

    users: int
    items: int
    interactions: int
    interactions_per_user: float
    interactions_per_item: float


class PartInfo(_Model):
    """Counts of a part's targets and non-targets; see `easrec_nni.data.splits.base.Targets`."""

    users: int
    targets: int
    repeats: int = 0
    cold_users: int = 0
    cold_user_interactions: int = 0
    cold_items: int = 0
    cold_item_interactions: int = 0


class SplitInfo(_Model):
    """Split of the interactions (see `easrec_nni.data.splits`).

    Attributes
    ----------
    method : str
        The split as it was asked for.
    users_evaluated, users_train_only : int
        Users with a test target, and users without any target.
    resolved : str
        The split with its points in time, in the log's unit, where the log decided them.
    parts : dict of str to PartInfo
        Validation and test; empty for leave-one-out, where each evaluated user has one target in both.
    users_to_sample : int or None
        Users with targets, of whom a sample is evaluated; None: all are.
    """

    later = ("resolved", "parts", "users_to_sample")

    method: SplitName = LEAVE_ONE_OUT
    users_evaluated: int
    users_train_only: int
    resolved: SplitName | Literal[""] = ""
    parts: dict[str, PartInfo] = {}
    users_to_sample: int | None = None

    def rows(self, part: str) -> int:
        """Number of a part's targets."""
        return self.parts[part].targets if part in self.parts else self.users_evaluated


class NegativesInfo(_Model):
    """Draw of the negatives; `users_short` counts users with fewer than `k`, for each file."""

    k: int
    seed: int
    users_short: dict[str, int]


class FeatureInfo(_Model):
    """An item feature; `values` counts the vocabulary without its padding entry."""

    name: FeatureName
    values: int
    items_without: int


class Manifest(_Model):
    """Content and origin of a dataset folder, as written in ``manifest.json``.

    Attributes
    ----------
    format_version : int
        Version of the folder's layout.
    name : str
        Name of the dataset.
    counts : Counts
        Users, items and interactions, without padding.
    dropped : dict of str to int
        Rows, users or items left out, by reason.
    understood : dict of str to str
        Summary of the log, shown before it was written: columns, times, rows; empty in folders of version 1.
    settings : PrepareSettings
        Settings that the dataset was prepared with.
    source : SourceInfo
        The files it was read from, with their SHA-256.
    split : SplitInfo
        Users evaluated and users that only train.
    negatives : NegativesInfo
        Negatives per evaluated user, seed, and users with too small a catalogue.
    features : tuple of FeatureInfo
        Item features.
    fingerprint : str
        SHA-256 over items, offsets and negatives: equal for equal experiments.
    package_version : str
        Version of the toolkit that wrote the folder.
    """

    format_version: Literal[1, 2] = 2
    name: DatasetName
    counts: Counts
    dropped: dict[str, int]
    understood: dict[str, str] = Field(default_factory=dict)
    settings: PrepareSettings
    source: SourceInfo
    split: SplitInfo
    negatives: NegativesInfo
    features: tuple[FeatureInfo, ...]
    fingerprint: str
    package_version: str
