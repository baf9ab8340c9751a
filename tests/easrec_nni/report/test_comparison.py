from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from easrec_nni.common.errors import UserError
from easrec_nni.report.comparison import ComparisonRow, comparison_csv, comparison_markdown, comparison_table, read_run

ROWS = [
    ComparisonRow("searched", {"ndcg@10_full": 0.12341, "madds_per_user": 3.3e6, "inference_ms_per_user": 0.1}),
    ComparisonRow("unpruned", {"ndcg@10_full": 0.12344, "madds_per_user": 15.3e6, "inference_ms_per_user": 0.5}),
    ComparisonRow("popularity", {"ndcg@10_full": 0.05}),
]


def test_csv_keeps_all_digits_and_names_protocol_and_unit() -> None:
    rows = list(csv.DictReader(io.StringIO(comparison_csv(ROWS))))
    assert rows[0] == {
        "network": "searched",
        "ndcg@10_full": "0.12341",
        "madds_per_user": "3300000.0",
        "inference_ms_per_user": "0.1",
    }
    assert rows[2]["madds_per_user"] == ""


def test_markdown_marks_the_best_and_those_that_look_the_same() -> None:
    lines = comparison_markdown(ROWS).splitlines()
    assert lines[0] == "| network | NDCG@10 full | multiply-adds per user | inference ms per user |"
    assert lines[2] == "| searched | **0.1234** | **3.3 M** | **0.100** |"
    assert lines[3] == "| unpruned | **0.1234** | 15.3 M | 0.500 |"
    assert lines[4] == "| popularity | 0.0500 | – | – |"


def test_the_terminal_table_fits_80_characters() -> None:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(comparison_table(ROWS, "title"))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "15.3 M" in text and "–" in text


def test_a_run_is_read_from_its_metrics(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    document = {
        "test": {"ndcg@10_full": 0.1},
        "cost": {"madds_per_user": 5, "other": 1},
        "valid": {"ndcg@10_full": 0.9},
    }
    file.write_text(json.dumps(document))
    assert read_run("searched", file).figures == {"ndcg@10_full": 0.1, "madds_per_user": 5.0}


def test_refitted_figures_are_columns_of_their_own(tmp_path: Path) -> None:
    documents = {
        "both": {"test": {"ndcg@10_full": 0.1}, "test_refitted": {"ndcg@10_full_refitted": 0.4}},
        "validated": {"test": {"ndcg@10_full": 0.2}},
        "refitted": {"test_refitted": {"ndcg@10_full_refitted": 0.3}},  # as in the folder of a refit
    }
    rows = []
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        rows.append(read_run(name, tmp_path / f"{name}.json"))
    lines = comparison_markdown(rows).splitlines()
    assert lines[0] == "| network | NDCG@10 full | NDCG@10 full, refitted |"
    assert lines[2:] == [
        "| both | 0.1000 | **0.4000** |",
        "| validated | **0.2000** | – |",
        "| refitted | – | 0.3000 |",
    ]


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_a_run_without_figures_is_a_clear_error(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "metrics.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match="run `python -m easrec_nni.retrain` again"):
        read_run("searched", file)
