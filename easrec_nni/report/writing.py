"""Writes a report's folder: every file whole or not at all, the page last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from easrec_nni.errors import UserError
from easrec_nni.files import replacing, write_text
from easrec_nni.report.cells import records_csv
from easrec_nni.report.composing import DATA_FILES, SectionContent, compose
from easrec_nni.report.content import Picture
from easrec_nni.report.reading import read_study
from easrec_nni.report.rendering import html_report, markdown_report
from easrec_nni.report.sections import Section, merge_studies

__all__ = ["write_report"]

PAGE = "report.html"
PLOTS = ("accuracy-cost", "fig4", "network", "search-[a-z]+", "training-[a-z]+")


def write_report(studies: Sequence[Path], out: Path, title: str | None = None) -> Path:
    """Write the report of one or several studies.

    Parameters
    ----------
    studies
        Folders that `easrec reproduce` wrote. Those on the same data are put together.
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
        A study is missing or damaged, studies contradict each other, or the folder cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give the name of a folder with --out")
    records = [read_study(path) for path in {path.resolve(): path for path in studies}.values()]
    sections = merge_studies(records)
    keys = _keys(sections)
    contents = [compose(section, key, key) for section, key in zip(sections, keys, strict=True)]
    heading = title or f"EASRec and others on {' and '.join(dict.fromkeys(each.dataset.name for each in sections))}"
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


def _keys(sections: Sequence[Section]) -> list[str]:
    """What is put before anchors and file names: nothing for a single section."""
    if len(sections) == 1:
        return [""]
    names = []
    for number, section in enumerate(sections, start=1):
        letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in section.dataset.name.lower())
        names.append(f"d{number}-{''.join(letters)[:40]}-")
    return names


def _write_plots(contents: Sequence[SectionContent], folder: Path) -> None:
    chapters = [chapter for content in contents for chapter in content.chapters]
    pictures = [block for chapter in chapters for block in chapter.blocks if isinstance(block, Picture)]
    for drawn in pictures:
        write_text(folder / f"{drawn.name}.svg", drawn.svg)
        with replacing(folder / f"{drawn.name}.png") as temporary:
            temporary.write_bytes(drawn.png)
    _remove_stale(folder, {drawn.name for drawn in pictures})


def _remove_stale(folder: Path, names: set[str]) -> None:
    """Remove plots of an earlier report that this one has not; what else lies there is left alone."""
    ours = re.compile(rf"(d\d+-[a-z0-9-]*-)?({'|'.join(PLOTS)})(-[a-z0-9-]+)?")
    for file in folder.glob("*"):
        if file.suffix in (".svg", ".png") and ours.fullmatch(file.stem) and file.stem not in names:
            file.unlink()
