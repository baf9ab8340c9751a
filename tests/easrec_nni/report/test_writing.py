from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easrec_nni.cli.main import app
from easrec_nni.common.errors import UserError
from easrec_nni.report import write_report
from easrec_nni.report.cells import records_csv
from easrec_nni.report.composing import SectionContent
from easrec_nni.report.content import Chapter, Column, Entry, Listing, Paragraph, Row, Table
from easrec_nni.report.rendering import html_report, markdown_report
from easrec_nni.report.rendering.markdown import escape_markdown

WriteStudy = Callable[..., Path]
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'"&|*_`$\\frac{[a](b)'
VOID = {"meta", "link", "br", "img", "input", "hr", "path", "use", "rect"}


class _Page(HTMLParser):
    """HTML parser that collects elements and their sources, and checks that all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                assert value not in self.anchors, f"{value} twice"
                self.anchors.add(value or "")
            if name == "href" and (value or "").startswith("#"):
                self.links.append((value or "")[1:])
            elif name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.loaded.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _content(block: Table | Listing | Paragraph, title: str = "t") -> SectionContent:
    return SectionContent("", title, title, [title], [Chapter("c", title, [block])], {})


@pytest.mark.slow
def test_a_report_has_all_files_and_its_page_needs_none_of_them(report: Path) -> None:
    names = {file.name for file in report.iterdir()}
    assert names >= {"report.html", "report.md", "results.csv", "table3.csv", "table4.csv", "table5.csv", "fig4.csv"}
    assert not [name for name in names if name.startswith(".")]
    plots = {file.name for file in (report / "plots").iterdir()}
    assert {"fig4.svg", "fig4.png", "accuracy-cost.svg", "network.png", "training-ndcg.svg"} <= plots
    text = (report / "report.html").read_text(encoding="utf-8")
    page = _Page(text)
    assert page.open == [] and page.loaded == ["data:,"] and page.handlers == []
    assert not re.search(r"https?:|//cdn|@import|url\((?!#)", text)
    assert page.links and set(page.links) <= page.anchors
    assert page.tags.count("svg") == len(plots) / 2 and page.tags.count("script") == 1


@pytest.mark.slow
def test_the_text_names_all_tables_and_its_plots_exist(report: Path) -> None:
    text = (report / "report.md").read_text(encoding="utf-8")
    for heading in ("Table III", "Table IV", "Table V", "Ablations", "Figure 4", "The search", "Training"):
        assert f"### {heading}" in text
    plots = re.findall(r"!\[.*?\]\((plots/[^)]*)\)", text)
    assert plots and all((report / plot).is_file() for plot in plots)
    for table in (block for block in text.split("\n\n") if "\n| gates of" in block):
        assert len({line.count("|") - line.count("\\|") for line in table.splitlines()}) == 1
    assert "NDCG@10, validation set, pop100" in text
    blocks = [block for block in text.split("\n\n") if ", published, ml-1m" in block.splitlines()[0]]
    assert len(blocks) == 3, "of Tables III, IV and V"
    for block in blocks:
        assert "**" not in block and "★" not in block and not re.search(r"(full|uni100|pop100)(?!\\?_)", block)


@pytest.mark.slow
def test_results_have_every_cell_with_all_digits(report: Path, full_study: Path) -> None:
    with (report / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    files = sorted((full_study / "cells").glob("*/seed*/result.json"))
    assert len(rows) == len(files) == 9 * 3 + 3 * 3
    by_key = {(row["system"], row["seed"], row["cell_parameters"]): row for row in rows}
    for file in files:
        result = json.loads(file.read_text())
        row = by_key[result["system"], str(result["seed"]), json.dumps(result["parameters"], sort_keys=True)]
        for part in ("test", "valid"):
            assert all(float(row[f"{part}_{key}"]) == value for key, value in result[part].items())
        assert row["madds_per_user"] == str(result["cost"].get("madds_per_user", ""))
    measured = [row for row in rows if row["latency_ms_batch1_median"]]
    assert {row["seed"] for row in measured} == {"0"} and not any(
        "lambda" in row["cell_parameters"] for row in measured
    )


@pytest.mark.slow
def test_a_second_report_replaces_the_first_and_removes_what_is_no_longer_true(
    full_study: Path, report: Path, write_study: WriteStudy, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(report, out)
    (out / "plots" / "mine.png").write_bytes(b"kept")
    small = write_study(tmp_path / "small", {"popularity": 0.0, "itemknn": 0.1})
    write_report([small], out)
    assert not (out / "fig4.csv").exists() and not (out / "table5.csv").exists()
    assert [file.name for file in (out / "plots").iterdir()] == ["mine.png"]
    damaged = write_study(tmp_path / "damaged", {"popularity": 0.0})
    (damaged / "cells" / "popularity" / "seed0" / "result.json").write_text("{")
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match="damaged"):
        write_report([damaged], out)
    assert before == {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}


@pytest.mark.slow
def test_studies_on_two_datasets_have_a_section_each(write_study: WriteStudy, tmp_path: Path) -> None:
    one = write_study(tmp_path / "one", {"popularity": 0.0, "easrec": 0.2}, seeds=(0,))
    two = write_study(tmp_path / "two", {"popularity": 0.0, "easrec": 0.2}, seeds=(0,), dataset="My Shop", users=50)
    page = write_report([one, two, one], tmp_path / "out")
    shown = _Page(page.read_text(encoding="utf-8"))
    assert {"d1-ml-100k-accuracy", "d2-my-shop-accuracy"} <= shown.anchors and set(shown.links) <= shown.anchors
    assert (tmp_path / "out" / "plots" / "d2-my-shop-network.svg").is_file()
    with (tmp_path / "out" / "results.csv").open(newline="") as stream:
        assert [row["dataset"] for row in csv.DictReader(stream)] == ["ml-100k"] * 2 + ["My Shop"] * 2


@pytest.mark.slow
def test_hostile_names_are_shown_and_not_run(
    write_study: WriteStudy, write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_study(tmp_path / "study", {"easrec": 0.2}, seeds=(0, 1), dataset=HOSTILE)
    changes = {"title": HOSTILE, "group": HOSTILE, "source": HOSTILE, "commit": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    for seed in (0, 1):
        write_cell(path, "darts", seed, dataset=HOSTILE, changes={**changes, "command": HOSTILE})
    document = json.loads((path / "study.json").read_text())
    document |= {"settings": {HOSTILE: HOSTILE}, "command": HOSTILE, "budget": HOSTILE, "tables": [HOSTILE]}
    (path / "study.json").write_text(json.dumps(document))
    page = write_report([path], tmp_path / "out", HOSTILE)
    shown = _Page(page.read_text(encoding="utf-8"))
    assert shown.tags.count("script") == 1 and "img" not in shown.tags
    assert shown.handlers == [] and shown.open == []
    assert sum(HOSTILE in text for text in shown.text) > 10
    markdown = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    outside = re.sub(r"```json.*?```", "", markdown, flags=re.DOTALL)
    assert "<script" not in outside and "<img" not in outside and "[a](b)" not in outside


def test_texts_of_a_page_are_escaped_wherever_they_stand() -> None:
    table = Table(
        HOSTILE,
        [Column("a", HOSTILE, HOSTILE), Column("b", HOSTILE, published=True)],
        [Row(HOSTILE, {"a": Entry(HOSTILE, 1.0, HOSTILE), "b": Entry(HOSTILE)}, HOSTILE, HOSTILE)],
        HOSTILE,
        [HOSTILE],
    )
    marked = [Row(HOSTILE, {"a": Entry(HOSTILE, 1.0, HOSTILE, True, True)}, HOSTILE, HOSTILE)]
    for block in (
        table,
        Table(HOSTILE, table.columns[:1], marked, HOSTILE, [HOSTILE]),
        Paragraph(HOSTILE),
        Paragraph(HOSTILE, True),
        Listing(HOSTILE, HOSTILE),
    ):
        text = html_report(HOSTILE, [_content(block, HOSTILE)] * 2)
        assert "<script>alert" not in text and "<img" not in text and 'onerror="' not in text


def test_marks_of_a_table_reach_both_renderings() -> None:
    columns = [Column("a", "A", "both"), Column("b", "B", "both")]
    entries = {"a": Entry("0.5", 0.5, "± 0.1", best=True, star=True), "b": Entry("–")}
    content = _content(Table("T", columns, [Row("x|y", entries, "part")], notes=["note"]))
    page = html_report("title", [content])
    assert '<td class="number" data-value="0.5"><strong>0.5</strong><span class="star"' in page
    assert '<span class="spread">± 0.1</span>' in page and '<th colspan="2">both</th>' in page
    text = markdown_report("title", [content])
    assert "| system | A, both | B, both |\n|---|---:|---|" in text
    assert "| *part* |  |  |\n| x\\|y | **0.5**★ ± 0.1 | – |" in text
    published = _content(Table("T", [Column("p", "P", published=True)], [Row("x", {"p": Entry("0.7", 0.7)})]))
    assert '<td class="number published" data-value="0.7">0.7</td>' in html_report("title", [published])
    assert "| x | *0.7* |" in markdown_report("title", [published])


def test_markdown_keeps_text_text() -> None:
    assert escape_markdown("a|b *c* [d](e) `f`\n# g") == r"a\|b \*c\* \[d\](e) \`f\` # g"
    assert escape_markdown("<script>") == "&lt;script&gt;"


def test_a_csv_is_read_as_it_was_written() -> None:
    records = [
        {"name": 'a "b", c\nd', "x": 0.1 + 0.2, "n": 3, "flag": True, "none": None},
        {"name": "=1+1", "x": math.pi, "later": 1e-300},
    ]
    rows = list(csv.DictReader(records_csv(records).splitlines(keepends=True)))
    assert [row["name"] for row in rows] == ['a "b", c\nd', "=1+1"]
    assert [float(row["x"]) for row in rows] == [0.1 + 0.2, math.pi]
    assert rows[0]["none"] == rows[0]["later"] == "" and float(rows[1]["later"]) == 1e-300


def test_a_place_that_cannot_be_written_to_is_a_mistake_of_the_user(write_study: WriteStudy, tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", {"popularity": 0.0})
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="is a file; give the name of a folder with --out"):
        write_report([study], file)


@pytest.mark.slow
def test_the_command_writes_into_the_study_and_names_the_page(write_study: WriteStudy, tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", {"popularity": 0.0, "itemknn": 0.1})
    result = CliRunner().invoke(app, ["report", str(study), "--title", "My <title>"])
    assert result.exit_code == 0 and result.stdout.strip() == str(study / "report" / "report.html")
    assert "<h1>My &lt;title&gt;</h1>" in (study / "report" / "report.html").read_text(encoding="utf-8")
    missing = CliRunner().invoke(app, ["report", str(tmp_path / "nothing")])
    assert missing.exit_code == 2 and "is not a study folder" in missing.stderr
