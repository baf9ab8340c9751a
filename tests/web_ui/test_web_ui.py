"""NNI's web UI as a person sees it: a real experiment in a real browser."""

from __future__ import annotations

import csv
import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from easrec_nni.cli.main import app
from easrec_nni.experiments.experiment import Experiment, Trial, best_trial
from easrec_nni.experiments.manager import stop_experiment
from easrec_nni.experiments.records import list_trials

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def trials(experiment: Experiment) -> list[Trial]:
    """Two that succeeded, then two that failed."""
    found = sorted(list_trials(experiment), key=lambda trial: (trial.final is None, trial.number))
    statuses = [trial.status for trial in found]
    assert statuses == ["SUCCEEDED", "SUCCEEDED", "FAILED", "FAILED"], [trial.last_error() for trial in found]
    assert found[0].score != found[1].score
    return found


def fetch(url: str, body: dict[str, str] | None = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    with opener.open(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=30) as answer:
        return json.load(answer)


def eventually(ask: Callable[[], Any], seconds: float = 120) -> Any:
    """What a server says once it is there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (OSError, KeyError, ValueError):
            assert time.monotonic() < deadline, "nobody answers"
            time.sleep(0.5)


def test_the_overview_names_the_experiment_its_best_trial_and_parameters(page: Any, trials: list[Trial]) -> None:
    best = best_trial(trials)
    assert best is not None and best.score is not None
    text = page.overview()
    assert "tiny sweep" in text
    assert f"{best.score:.6f}\nBest metric" in text
    rows = page.driver.find_elements("css selector", "#succTable .ms-DetailsRow")
    assert best.id in rows[0].text and "SUCCEEDED" in rows[0].text  # the best one stands first
    page.click("//div[@id='succTable']//i[@data-icon-name='ChevronRight']")
    page.wait(lambda: "retrain.learning_rate" in page.text)
    details = page.driver.find_element("css selector", "#succTable .bgHyper").text
    assert "lambda" in details and "0.25" in details and f"{best.parameters['retrain.learning_rate']:g}" in details


def test_columns_of_accuracy_cost_and_network_can_be_shown(page: Any, trials: list[Trial]) -> None:
    page.trials()
    offered = page.offered_columns()
    page.press("Cancel")
    chosen = {
        "lambda (space)": None,
        "retrain.learning_rate (space)": None,
        "test_recall@10_full (metric)": "test_recall@10_full",
        "test_mrr@10_full (metric)": "test_mrr@10_full",
        "valid_ndcg@10_full (metric)": "valid_ndcg@10_full",
        "madds_per_user (metric)": "madds_per_user",
        "parameters (metric)": "parameters",
        "inference_ms_per_user (metric)": "inference_ms_per_user",
        "depth (metric)": "depth",
        "pruning (metric)": "pruning",
        "hidden_pruning (metric)": "hidden_pruning",
        "inner_pruning (metric)": "inner_pruning",
    }
    assert chosen.keys() <= set(offered)
    page.choose_columns(["Trial No.", "Status", *chosen])
    for trial in trials[:2]:
        row = page.row(trial.number)
        for name in filter(None, chosen.values()):
            cell = row.find_element("css selector", f"[data-automation-key='metric/{name}']").text
            value = (trial.final or {})[name]
            assert cell == value if isinstance(value, str) else float(cell) == pytest.approx(value, rel=1e-6), name
        for name, value in trial.parameters.items():
            assert float(row.find_element("css selector", f"[data-automation-key='space/{name}']").text) == value


def test_the_chart_of_intermediate_results_shows_search_and_retraining(page: Any, trials: list[Trial]) -> None:
    page.trials()
    page.tab("Intermediate result")
    shown = {series["name"]: series["data"] for series in page.chart(".intermediate-graph")}
    for trial in trials[:2]:
        assert shown[trial.id] == pytest.approx([report["default"] for report in trial.intermediate])
        assert len(shown[trial.id]) == 3 + 1 + 2
    assert shown[trials[2].id] == shown[trials[3].id] == []


def test_each_stage_has_a_curve_of_its_own(page: Any, trials: list[Trial]) -> None:
    page.trials()
    keys = page.open_intermediate(trials[0].number)
    assert keys[:3] == ["default", "search", "retrain"]
    assert {"expected_cost", "train_loss", "temperature", "depth", "recall@10_full", "mrr@10_full"} <= set(keys)
    reports = trials[0].intermediate
    searched = [report["ndcg@10_full"] for report in reports[:3]]
    retrained = [report["selection_users_ndcg@10_full"] for report in reports[3:]]
    for key, values in (("search", [*searched, *[searched[2]] * 3]), ("retrain", [0, 0, 0, *retrained])):
        page.choose_key(key)
        page.wait(lambda values=values: page.chart(".compare-modal")[0]["data"] == pytest.approx(values))
        page.click("//div[contains(@class, 'selectKeys')]//div[@role='combobox']")


def test_a_failed_trial_shows_its_reason(page: Any, trials: list[Trial]) -> None:
    page.trials()
    page.expand(trials[2].number, "Log")
    page.wait(lambda: "View trial error" in page.text)
    assert str(trials[2].folder) in page.text
    reason = page.opened_window("View trial error")
    assert "error: hyper-parameters: search.lambda" in reason and "greater than or equal to 0" in reason
    assert "Traceback" not in reason


def test_the_board_shows_what_a_trial_wrote(experiment: Experiment, trials: list[Trial]) -> None:
    """Started as the button starts it, by the manager's REST API.

    It is asked until it answers: NNI would give its port to the next one too, as long as nobody listens there.
    """
    task = fetch(f"{experiment.url}/api/v1/nni/tensorboard", {"trials": trials[0].id})
    board = f"http://127.0.0.1:{task['port']}/data"
    run = f"{trials[0].number}-{trials[0].id}/search"
    tags = eventually(lambda: fetch(f"{board}/plugin/scalars/tags")[run])
    groups = {tag.partition("/")[0] for tag in tags}
    options = {f"{what} of {which}" for what in ("cross entropy", "charge") for which in ("widths", "depths")}
    assert groups == {"alpha", "beta", "cost", "loss", "metrics", "search", "time"} | options
    points = fetch(f"{board}/plugin/scalars/scalars?run={run}&tag=metrics/ndcg@10_full")
    reported = [report["ndcg@10_full"] for report in trials[0].intermediate]
    assert [value for _, _, value in points] == pytest.approx(reported[:3])
    assert "network" in fetch(f"{board}/plugin/images/tags")[run]


def test_the_tensorboard_button_starts_a_board(page: Any, experiment: Experiment, trials: list[Trial]) -> None:
    page.trials()
    page.select(trials[1].number)
    page.press("TensorBoard")
    page.wait(lambda: "You are starting a new TensorBoard with trials" in page.text)
    tasks = fetch(f"{experiment.url}/api/v1/nni/tensorboard-tasks")
    assert [trials[1].id] in [task["trialJobIdList"] for task in tasks]


def test_an_experiment_is_reported_by_its_id(experiment: Experiment, trials: list[Trial], tmp_path: Path) -> None:
    """And a stopped one in the same words, with as many trials."""
    for name in ("running", "stopped"):
        done = CliRunner().invoke(app, ["report", experiment.id, "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        page = (tmp_path / name / "report.html").read_text(encoding="utf-8")
        assert f"NNI experiment {experiment.id}" in page and "2 of 4 trials ended with a result" in page
        assert "search.lambda: Input should be greater than or equal to 0" in page
        with (tmp_path / name / "trials.csv").open(newline="") as table:
            rows = list(csv.DictReader(table))
        assert {row["id"] for row in rows} == {trial.id for trial in trials}
        written = next(row for row in rows if row["id"] == trials[0].id)
        assert float(written["test_ndcg@10_full"]) == (trials[0].final or {})["test_ndcg@10_full"]
        assert sorted(file.name for file in (tmp_path / name / "plots").glob("*.svg")) == [
            "accuracy-cost.svg",
            "training-retrain.svg",
            "training-search.svg",
        ]
        stop_experiment(experiment)  # last: the others of this module need it
