"""A study's trial reports to NNI and writes the same files as a search trial with the same settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from easrec_nni import Architecture
from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.common.errors import UserError
from easrec_nni.data import Dataset
from easrec_nni.experiments import export as export_module
from easrec_nni.experiments.experiment import Trial
from easrec_nni.experiments.export import choose_trial, export_architecture, trial_architecture
from easrec_nni.settings.trial import TrialSettings
from easrec_nni.study.cells import Cell, cell_settings
from easrec_nni.study.folder import open_study
from easrec_nni.study.tables import Grid
from easrec_nni.study.trial import run_cell_trial
from easrec_nni.trial import nni_io as nni_trial_io
from easrec_nni.trial.run import run_trial

SPACE = {"max_length": 6, "hidden": 8, "inner": 16, "heads": 2, "layers": 2, "supernet": "shared"}
MEASURED = {"search_seconds", "retrain_seconds", "inference_ms_per_user", "files_at"}


class Manager:
    """Fake NNI of one trial, which records the reports."""

    def __init__(self) -> None:
        self.intermediate: list[dict[str, Any]] = []
        self.final: dict[str, Any] = {}
        self.trial = self

    def overwrite_intermediate_seq(self, place: int) -> None:
        assert place == len(self.intermediate)

    def report_intermediate_result(self, report: dict[str, Any]) -> None:
        self.intermediate.append(json.loads(json.dumps(report, allow_nan=False)))

    def report_final_result(self, report: dict[str, Any]) -> None:
        assert not self.final
        self.final = json.loads(json.dumps(report, allow_nan=False))


@pytest.fixture
def trial_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a function as an NNI trial; return the reports and the output folder."""

    def trial_of(name: str, run: Any) -> tuple[Manager, Path]:
        manager, out = Manager(), tmp_path / "nni" / "experiment" / "environments" / "local-env" / "trials" / name
        out.mkdir(parents=True)
        monkeypatch.setenv("NNI_PLATFORM", "local")
        monkeypatch.setenv("NNI_TRIAL_JOB_ID", name)
        monkeypatch.setenv("NNI_OUTPUT_DIR", str(out))
        monkeypatch.setattr(nni_trial_io, "nni", manager)
        monkeypatch.setattr(nni_trial_io, "_ask_manager", lambda api: [])
        nni_trial_io._reported_epochs.cache_clear()
        run(out)
        return manager, out

    yield trial_of
    nni_trial_io._reported_epochs.cache_clear()


def settings_for(dataset: Dataset, **changes: Any) -> TrialSettings:
    return TrialSettings(
        data=str(dataset.path), space=SPACE, search={"epochs": 2, "lambda": 0.1}, retrain={"epochs": 2}, **changes
    )


OBJECTIVES: list[dict[str, Any]] = [
    {},
    {"kind": "ceiling", "ceiling": 1, "cost": "madds_per_user"},  # which no network keeps to
    {"kind": "weighted", "weight": 0.3},
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_a_cell_reports_what_a_trial_of_the_same_search_does(
    objective: dict[str, Any], trial_of: Any, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    base = settings_for(tiny_dataset, objective=objective)
    study = open_study(tmp_path / "study", tiny_dataset, base, "smoke", "fig4", Grid(("easrec",), (3,)))
    drawn = {"system": "easrec", "seed": 3, "lambda": 0.7}
    cell, files = trial_of("cell", lambda out: run_cell_trial(study.path, drawn))
    settings = cell_settings(Cell.sampled(drawn), base)
    alone, folder = trial_of("alone", lambda out: run_trial(settings, out))
    assert cell.final.keys() - alone.final.keys() == {"system"} and not alone.final.keys() - cell.final.keys()
    same = alone.final.keys() - MEASURED
    assert {key: cell.final[key] for key in same} == {key: alone.final[key] for key in same}
    assert (cell.final["system"], cell.final["seed"], cell.final["lambda"]) == ("easrec", 3, 0.7)
    assert [report["phase"] for report in cell.intermediate] == ["search"] * 2 + [
        "retrain"
    ] * 3  # with the inherited network
    assert cell.intermediate == alone.intermediate
    assert cell.final["files_at"].endswith(f":{files}")
    assert Architecture.read(files / "architecture.json") == Architecture.read(folder / "architecture.json")
    assert (files / "supernet.safetensors").read_bytes() == (folder / "supernet.safetensors").read_bytes()
    again, again_files = trial_of("again", lambda out: run_cell_trial(study.path, drawn))  # the cell is complete
    assert again.final | {"files_at": ""} == cell.final | {"files_at": ""}
    assert (again_files / "supernet.safetensors").is_file()


def test_networks_of_a_study_can_be_exported_and_baselines_say_that_they_are_none(
    trial_of: Any, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = ("easrec", "sasrec-linrec", "popularity")
    base = settings_for(tiny_dataset, objective={"kind": "ceiling", "ceiling": 10**9})
    study = open_study(tmp_path / "study", tiny_dataset, base, "smoke", "table3", Grid(systems, (0,)))
    trials = []
    for number, system in enumerate(systems):
        manager, files = trial_of(
            system, lambda out, system=system: run_cell_trial(study.path, {"system": system, "seed": 0})
        )
        trials.append(Trial(system, number, "SUCCEEDED", {}, files, tuple(manager.intermediate), manager.final))
        assert manager.final["default_standard_error"] > 0 and manager.final["feasible"] == 1
    easrec, fixed, popularity = trials
    assert fixed.final is not None and "lambda" not in fixed.final  # nothing was traded off
    assert (fixed.final["depth"], fixed.final["hidden_pruning"], fixed.final["pruning"]) == (2, 0, "hidden0_inner0")
    architecture, rebuilt = trial_architecture(fixed)
    assert not rebuilt and architecture.choices.depth == 2
    assert fixed.final["madds_per_user"] == architecture_cost(architecture.space, architecture.choices).madds_per_user
    assert popularity.final is not None and not {"architecture", "madds_per_user", "depth"} & popularity.final.keys()
    with pytest.raises(UserError, match="popularity is a baseline without a network; choose another"):
        trial_architecture(popularity)
    # A baseline may be the best of all (item-kNN is, on MovieLens-100K): what can be exported is a network.
    for trial, score in ((easrec, 0.30), (fixed, 0.31), (popularity, 0.9)):
        assert trial.final is not None
        trial.final.update({"default": score, "default_standard_error": 0.02})
    assert choose_trial(trials) is fixed and choose_trial(trials, smallest=True) is easrec
    assert easrec.final is not None and fixed.final["madds_per_user"] > easrec.final["madds_per_user"]
    easrec.final["default"] = 0.28  # more than a standard error behind
    assert choose_trial(trials, smallest=True) is fixed
    monkeypatch.setattr(export_module, "trials_of", lambda source: trials)
    exported = export_architecture("abcdefgh", tmp_path / "out.json", "0", weights=True)
    assert exported.weights is not None and exported.weights.stat().st_size > 1000
    assert not exported.weights.is_symlink() and not exported.rebuilt
    with pytest.raises(UserError, match="has no supernet.safetensors"):
        export_architecture("abcdefgh", tmp_path / "other.json", "1", weights=True)
    assert not (tmp_path / "other.json").exists()
