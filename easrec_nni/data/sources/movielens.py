"""MovieLens 100K and 1M: GroupLens' archives, RecBole's atomic files or RecBole's wheel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from easrec_nni.common.errors import UserError
from easrec_nni.data.download import DownloadError, cached, fetch, fetch_wheel, file_digest
from easrec_nni.data.manifest import PrepareSettings
from easrec_nni.data.reporting import Reporter
from easrec_nni.data.sources.atomic import AtomicSource, is_atomic, read_inter, read_items
from easrec_nni.data.sources.base import RawLog
from easrec_nni.data.sources.columns import Columns
from easrec_nni.data.sources.delimited import DelimitedTable, TextFile, readable

_URL = "https://files.grouplens.org/datasets/movielens/{}.zip"
_WHEEL = "recbole-1.2.1-py3-none-any.whl"
_WHEEL_REQUIREMENT = "recbole==1.2.1"
_WHEEL_SHA256 = "sha256:9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_WHEEL_STEM = "recbole/dataset_example/ml-100k/ml-100k"
_YEAR = re.compile(r"\((\d{4})\)")
_GENRES_100K = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|"
    "Film-Noir|Horror|Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
).split("|")


@dataclass(frozen=True)
class MovieLensSource:
    """A MovieLens dataset with its movies' genres and years.

    Attributes
    ----------
    name, summary : str
        Name and help text, as for every source.
    ratings, movies : str
        Names of the two files in the archive, in which they lie in a folder called like the dataset.
    checksum : str
        MD5 of the archive as its publisher gives it.
    in_wheel : bool
        Whether RecBole's wheel has a copy, for where GroupLens cannot be reached.
    """

    name: str
    summary: str
    ratings: str
    movies: str
    checksum: str
    in_wheel: bool = False

    def locate(self, path: Path | None, reporter: Reporter) -> tuple[Path, ...]:
        """Find or download the archive; `path` may also be a folder of its files or of atomic files."""
        if path is None:
            return (self._download(reporter),)
        if is_atomic(path):
            return AtomicSource().locate(path, reporter)
        if path.is_file():
            if path.suffix == ".zip" and f"md5:{file_digest(path, 'md5')}" != self.checksum:
                reporter.note(f"{path.name} is not the archive that GroupLens publishes (its MD5 differs)")
            return (path,)
        if not path.is_dir():
            raise UserError(f"no file or folder {path}: check --path, or leave it out to download {self.name}")
        files = tuple(path / name for name in (self.ratings, self.movies) if (path / name).is_file())
        if not files or files[0].name != self.ratings:
            raise UserError(f"{path} has no {self.ratings} and no .inter file: --path must lead to {self.name}")
        return files

    def read(self, files: Sequence[Path], settings: PrepareSettings, reporter: Reporter) -> RawLog:
        """Read ratings and movies, in any of the supported forms."""
        if is_atomic(files[0]):
            return _movies_as_published(AtomicSource().read(files, settings, reporter))
        if files[0].suffix == ".whl":
            log = read_inter([TextFile.member(files[0], f"{_WHEEL_STEM}.inter")], settings)
            features, notes = read_items(TextFile.member(files[0], f"{_WHEEL_STEM}.item"), settings)
            return _movies_as_published(replace(log, features=features, notes=notes))
        if files[0].suffix == ".zip":
            texts = [TextFile.member(files[0], f"{self.name}/{name}") for name in (self.ratings, self.movies)]
        else:
            texts = [TextFile.at(file) for file in files]
        with texts[0].open():  # a missing file is an error before anything is read
            log = self._read_ratings(texts[0], settings)
        if len(texts) == 1:
            return replace(log, notes=(f"no {self.movies}: movies have no features",))
        return replace(log, features=read_movies(texts[1]))

    def _download(self, reporter: Reporter) -> Path:
        archive = f"{self.name}.zip"
        path = cached(archive, self.checksum) or (cached(_WHEEL, _WHEEL_SHA256) if self.in_wheel else None)
        if path is not None:
            return path
        reasons = []
        try:
            return fetch(_URL.format(self.name), archive, self.checksum, reporter)
        except DownloadError as error:
            reasons.append(str(error))
        if self.in_wheel:
            reporter.note(
                f"GroupLens cannot be reached ({reasons[0]}): taking the copy in the package {_WHEEL_REQUIREMENT}"
            )
            try:
                return fetch_wheel(_WHEEL_REQUIREMENT, _WHEEL, _WHEEL_SHA256, reporter)
            except DownloadError as error:
                reasons.append(str(error))
        raise UserError(
            f"cannot download {self.name} ({'; '.join(reasons)}): get {archive} from "
            f"{_URL.format(self.name)} on another machine and pass it with --path"
        )

    def _read_ratings(self, text: TextFile, settings: PrepareSettings) -> RawLog:
        rating = {"rating": 2} if settings.min_rating is not None else {}
        delimiter = "\t" if self.ratings == "u.data" else "::"
        names = ("user id", "movie id", "rating", "timestamp")
        table = DelimitedTable((text,), names, delimiter, "latin-1", header=False, quote="")
        return RawLog(table, Columns.of_format(user=0, item=1, time=3, **rating))


def read_movies(text: TextFile) -> dict[str, pd.DataFrame]:
    """Read genres and years from ``u.item`` or ``movies.dat``.

    Parameters
    ----------
    text : TextFile
        Lines ``id|title|...|19 flags`` (``u.item``) or ``id::title::genre|genre`` (``movies.dat``), Latin-1.

    Returns
    -------
    dict of str to DataFrame
        The features ``genre`` and ``release_year``, as in `RawLog`.

    Raises
    ------
    UserError
        If a line is of neither form.
    """
    genres: list[tuple[str, str]] = []
    years: list[tuple[str, str]] = []
    with readable(text.label, "latin-1"), text.open() as stream:
        lines = stream.read().decode("latin-1").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        movie, title, named = _movie(line, text.label, number)
        genres += [(movie, genre) for genre in named]
        years += [(movie, year) for year in _YEAR.findall(title)[-1:]]
    return {
        "genre": pd.DataFrame(genres, columns=["item", "value"], dtype="str"),
        "release_year": pd.DataFrame(years, columns=["item", "value"], dtype="str"),
    }


def _movie(line: str, label: str, number: int) -> tuple[str, str, list[str]]:
    parts = line.split("::")
    if len(parts) >= 3:
        return parts[0], "::".join(parts[1:-1]), [genre for genre in parts[-1].split("|") if genre]
    fields = line.split("|")
    flags = fields[-len(_GENRES_100K) :]
    if len(fields) < 5 + len(_GENRES_100K) or not set(flags) <= {"0", "1"}:
        raise UserError(f"{label}: line {number} describes no movie: get the file from its publisher again")
    return fields[0], fields[1], [genre for genre, flag in zip(_GENRES_100K, flags, strict=True) if flag == "1"]


def _movies_as_published(log: RawLog) -> RawLog:
    """Convert RecBole's movie columns to the features that GroupLens' own files give."""
    features = dict(log.features)
    result: dict[str, pd.DataFrame] = {}
    for name in ("class", "genre"):
        if name in features:
            result["genre"] = features[name]
    if "release_year" in features:
        years = features["release_year"]
        # RecBole has "V" for the year of a title that goes on after the year; then the title still has it.
        result["release_year"] = years[years["value"].str.fullmatch(r"\d{4}")]
        if "movie_title" in features:
            titled = features["movie_title"]
            extracted = titled.assign(value=titled["value"].str.extract(_YEAR.pattern, expand=False)).dropna()
            missing = extracted[~extracted["item"].isin(result["release_year"]["item"])]
            result["release_year"] = pd.concat([result["release_year"], missing], ignore_index=True)
    return replace(log, features=result)


ML_100K = MovieLensSource(
    "ml-100k",
    "MovieLens 100K (GroupLens, or the copy in the package recbole)",
    "u.data",
    "u.item",
    "md5:0e33842e24a9c977be4e0107933c0723",
    in_wheel=True,
)
ML_1M = MovieLensSource(
    "ml-1m",
    "MovieLens 1M (GroupLens)",
    "ratings.dat",
    "movies.dat",
    "md5:c4d9eecfca2ab87c1945afe126590906",
)
