"""Writes a report's folder: every file whole or not at all, the page last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.figures import Picture
from easrec_nni.common.files import atomic_write, write_text
from easrec_nni.report.cells import records_csv
from easrec_nni.report.composing import DATA_FILES, SectionContent, compose
from easrec_nni.report.experiments import experiment_content, is_experiment
from easrec_nni.report.reading import read_study
from easrec_nni.report.rendering import html_report, markdown_report
from easrec_nni.report.sections import merge_studies

__all__ = ["write_report"]

PAGE = "report.html"
PLOTS = ("accuracy-cost", "fig4", "network", "search-[a-z]+", "training-[a-z]+")


def write_report(sources: Sequence[str | Path], out: Path, title: str | None = None) -> Path:
    """Write the report of studies and of NNI experiments.

    Parameters
    ----------
    sources
        Folders that `easrec reproduce` wrote, of which those on the same data are put together; ids of experiments,
        running, stopped or finished; files of results, as :func:`~easrec_nni.experiments.result_files.read_exported`
        reads them.
    out
        Folder to write to; files of an earlier report are replaced.
    title
        Heading; names the datasets by default.

    Returns
    -------
    Path
        ``report.html``.

    Raises
    ------
    UserError
        A source is missing or damaged, studies contradict each other, or the folder cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give the name of a folder with --out")
    experiments = [source for source in dict.fromkeys(map(str, sources)) if is_experiment(source)]
    studies = {Path(source).resolve(): Path(source) for source in sources if not is_experiment(source)}
    sections = merge_studies([read_study(path) for path in studies.values()])
    names = [section.dataset.title for section in sections] + [Path(source).stem for source in experiments]
    keys = _keys(names)
    contents = [compose(section, key, key) for section, key in zip(sections, keys, strict=False)]
    contents += [
        experiment_content(source, key, key) for source, key in zip(experiments, keys[len(sections) :], strict=True)
    ]
    about = [f"EASRec and others on {' and '.join(dict.fromkeys(names[: len(sections)]))}"] if sections else []
    about += [f"NNI experiment{'s' if len(experiments) > 1 else ''} {', '.join(names[len(sections) :])}"] * bool(
        experiments
    )
    heading = title or "; ".join(about)
    # All is made before anything is written: a mistake leaves an earlier report as it was.
    page, text = html_report(heading, contents), markdown_report(heading, contents)
    tables = {name: [record for content in contents for record in content.data.get(name, [])] for name in DATA_FILES}
    _write_plots(contents, out / "plots")
    for name, table in tables.items():
        if table:
            write_text(out / f"{name}.csv", records_csv(table))
        else:
            (out / f"{name}.csv").unlink(missing_ok=True)  # of an earlier report, and no longer true
    write_text(out / "report.md", text)
    write_text(out / PAGE, page)
    return out / PAGE


def _keys(names: Sequence[str]) -> list[str]:
    """What is put before anchors and file names: nothing for a single part."""
    if len(names) == 1:
        return [""]
    keys = []
    for number, name in enumerate(names, start=1):
        letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
        keys.append(f"d{number}-{''.join(letters)[:40]}-")
    return keys


def _write_plots(contents: Sequence[SectionContent], folder: Path) -> None:
    chapters = [chapter for content in contents for chapter in content.chapters]
    pictures = [block for chapter in chapters for block in chapter.blocks if isinstance(block, Picture)]
    for drawn in pictures:
        write_text(folder / f"{drawn.name}.svg", drawn.svg)
        with atomic_write(folder / f"{drawn.name}.png") as temporary:
            temporary.write_bytes(drawn.png)
    _remove_stale(folder, {drawn.name for drawn in pictures})


def _remove_stale(folder: Path, names: set[str]) -> None:
    """Remove plots of an earlier report that this one has not; what else lies there is left alone."""
    ours = re.compile(rf"(d\d+-[a-z0-9-]*-)?({'|'.join(PLOTS)})(-[a-z0-9-]+)?")
    for file in folder.glob("*"):
        if file.suffix in (".svg", ".png") and ours.fullmatch(file.stem) and file.stem not in names:
            file.unlink()
