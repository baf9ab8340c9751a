from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from easrec_nni.common.figures import Picture, inline_svg, new_figure, picture
from easrec_nni.report.composing import compose
from easrec_nni.report.histories import mean_curve, option_curves
from easrec_nni.report.plots.labels import Box, free_place, leader
from easrec_nni.report.plots.options import PANELS, _above_lowest, options_plot
from easrec_nni.report.plots.searching import spread_out
from easrec_nni.report.reading import read_study
from easrec_nni.report.sections import merge_studies

FRAME = Box(0, 0, 400, 300)


def _pictures(study: Path) -> list[Picture]:
    content = compose(merge_studies([read_study(study)])[0])
    return [block for chapter in content.chapters for block in chapter.blocks if isinstance(block, Picture)]


@pytest.mark.slow
def test_every_plot_is_there_and_the_same_each_time(full_study: Path, report: Path) -> None:
    drawn_again = _pictures(full_study)
    assert [drawn.name for drawn in drawn_again] == [
        "accuracy-cost",
        "fig4",
        "network",
        "search-cost",
        "search-entropy",
        "search-options",
        "search-probabilities",
        "training-ndcg",
        "training-loss",
    ]
    for drawn in drawn_again:
        assert (report / "plots" / f"{drawn.name}.svg").read_text(encoding="utf-8") == drawn.svg
        assert (report / "plots" / f"{drawn.name}.png").read_bytes() == drawn.png
        assert drawn.png.startswith(b"\x89PNG") and "<dc:date>" not in drawn.svg
        assert drawn.alt and drawn.title


def test_an_inline_plot_has_no_addresses_and_ids_of_its_own() -> None:
    with new_figure(3, 2) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], "o-")
        axes.set_title("a $\\frac{ & <b>")  # no mathematics, no markup
        drawn = picture(figure, "mine", "", 'says "a" <b>')
    svg = inline_svg(drawn)
    assert svg.startswith("<svg") and svg.endswith("</svg>")
    assert "http" not in svg and "<style" not in svg and "<b>" not in svg
    assert 'aria-label="says &quot;a&quot; &lt;b&gt;"' in svg
    identifiers = re.findall(r'\bid="([^"]*)"', svg)
    assert identifiers and all(name.startswith("mine-") for name in identifiers)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]*)', svg))
    assert used and used <= set(identifiers)
    assert "var(--ink)" in svg and "width=" not in svg[: svg.index(">")]


def test_names_take_the_nearest_free_place() -> None:
    point = Box(95, 95, 105, 105)
    box = free_place(100, 100, (60, 12), [point], [], FRAME)
    assert box.left == pytest.approx(107) and (box.bottom + box.top) / 2 == pytest.approx(100)
    box = free_place(100, 100, (60, 12), [point, Box(106, 90, 180, 110)], [], FRAME)
    assert box.right == pytest.approx(93)


def test_names_in_a_crowd_cover_neither_each_other_nor_each_others_lines() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(100, 300, size=(12, 2)) * [1, 0.7]
    taken = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    names: list[Box] = []
    lines: list[Box] = []
    for x, y in points:
        box = free_place(x, y, (55, 11), [*taken, *lines], names, FRAME)
        names.append(box)
        lines += leader(x, y, box)
    assert lines and not any(one.shared(other) for one, other in combinations(names, 2))
    assert not any(name.shared(part) > 1e-9 for name in names for part in lines)
    assert all(box.shared(FRAME) == pytest.approx(box.area) for box in names)


def test_a_far_name_has_a_line_to_its_near_side() -> None:
    assert leader(0, 0, Box(5, -6, 60, 6)) == []
    parts = leader(0, 0, Box(30, -6, 60, 6))
    middles = [((part.left + part.right) / 2, (part.bottom + part.top) / 2) for part in parts]
    assert np.allclose(middles, [(3.0 * step, 0.0) for step in range(1, 10)])


def test_a_name_without_room_covers_as_little_as_it_can() -> None:
    wall = [Box(0, 0, 400, 140), Box(0, 150, 400, 300)]
    box = free_place(200, 145, (60, 12), wall, [], FRAME)
    assert sum(box.shared(other) for other in wall) < box.area / 3


def test_heights_are_spread_out_in_order_and_moved_little() -> None:
    assert spread_out([0.1, 0.9], 0.1) == [0.1, 0.9]
    assert spread_out([0.5, 0.5, 0.5], 0.2) == pytest.approx([0.3, 0.5, 0.7])
    heights = list(np.random.default_rng(0).uniform(0, 1, 9))
    spread = spread_out(heights, 0.08)
    assert np.argsort(spread).tolist() == np.argsort(heights).tolist()
    assert np.diff(sorted(spread)).min() >= 0.08 - 1e-9
    assert np.mean(spread) == pytest.approx(np.mean(heights))


def test_mean_curves_are_of_the_seeds_that_got_as_far() -> None:
    assert mean_curve({0: [(0, 1.0), (1, 3.0)], 1: [(0, 2.0)]}) == [(0, 1.5), (1, 3.0)]


def test_options_are_drawn_above_the_lowest_of_each_epoch_with_the_strongest_named() -> None:
    def curves(*seeds: list[float]) -> dict[int, list[tuple[float, float]]]:
        return {seed: list(enumerate(values)) for seed, values in enumerate(seeds)}

    histories = {
        seed: [
            {"epoch": epoch, "warmup": float(epoch == 0), "beta_1": b, "beta_2": 1 - b}
            | {"cross_entropy_beta_1": 6.0 + seed, "cross_entropy_beta_2": 5.5 + seed - epoch}
            | {"constraint_beta_1": 0.1, "constraint_beta_2": 0.4}
            for epoch, b in enumerate((0.5, 0.2 + 0.1 * seed))
        ]
        for seed in (0, 1)
    }
    choices = option_curves(histories)
    assert list(choices) == ["β"] and list(choices["β"]) == list(PANELS)
    assert choices["β"]["probability"]["1"] == curves([0.5, 0.2], [0.5, pytest.approx(0.3)])
    assert choices["β"]["cross_entropy"]["2"] == curves([5.5, 4.5], [6.5, 5.5])
    above = _above_lowest({name: dict(mean_curve(c)) for name, c in choices["β"]["cross_entropy"].items()})
    assert above == {"1": {0: 0.5, 1: 1.5}, "2": {0: 0.0, 1: 0.0}}
    drawn = options_plot(choices, 1.0, "title", "options")
    assert "β: 2 with 75%" in drawn.alt
    assert option_curves({0: [{"epoch": 0, "beta_1": 0.5, "beta_2": 0.5}]}) == {}  # of an earlier version
