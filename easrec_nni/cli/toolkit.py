"""Lazy imports for the commands: ``easrec COMMAND --help`` imports nothing heavy.

A command module does ``from easrec_nni.cli import toolkit``. Modules that import neither torch nor NNI nor pandas are
imported directly.
"""

# ruff: noqa: F401 (the module re-exports these names)

from __future__ import annotations

from typing import TYPE_CHECKING

from easrec_nni.common.lazy import lazy_names

if TYPE_CHECKING:
    from easrec_nni.architecture.compiling import compile_scoring
    from easrec_nni.architecture.cost import architecture_cost
    from easrec_nni.architecture.document import Architecture
    from easrec_nni.architecture.latency import LatencyFile
    from easrec_nni.architecture.run_folder import check_evaluated, network_folder, open_run, refitted
    from easrec_nni.architecture.weights import load_network
    from easrec_nni.bench.document import write_documents
    from easrec_nni.bench.latency import measure_latency
    from easrec_nni.bench.latency_report import latency_report
    from easrec_nni.bench.measurement import Bench, BenchRequest
    from easrec_nni.bench.measurements import ALL, select_measurements
    from easrec_nni.bench.running import all_documents, run_measurements
    from easrec_nni.cli.demo_steps import run_demo
    from easrec_nni.cli.stream import EventStream
    from easrec_nni.data import Dataset, PrepareSettings, load_dataset, prepare, preview
    from easrec_nni.data.split_record import split_lines
    from easrec_nni.evaluation.figures import PROTOCOLS, REFITTED
    from easrec_nni.evaluation.ranking import KNOWN_PROTOCOLS
    from easrec_nni.evaluation.scoring import evaluate_fully
    from easrec_nni.experiments.experiment import check_results, is_experiment_id
    from easrec_nni.experiments.export import (
        choose_trial,
        describe_score,
        export_architecture,
        trial_architecture,
        trials_of,
    )
    from easrec_nni.experiments.launching import check, launch, launch_and_watch, resume
    from easrec_nni.experiments.nas import search_architectures
    from easrec_nni.experiments.remote_files import trial_place
    from easrec_nni.experiments.result_files import is_exported
    from easrec_nni.experiments.watching import trials_table
    from easrec_nni.report import write_report
    from easrec_nni.report.front import front_records, write_front_files
    from easrec_nni.retraining.judgement import judge_run, read_judgement
    from easrec_nni.retraining.metrics import read_metrics
    from easrec_nni.retraining.stage import retrain, retrain_on_all_data
    from easrec_nni.searching.elastic import evaluate_again
    from easrec_nni.serving import StreamingRecommender
    from easrec_nni.serving.autosave import AutosavedStates
    from easrec_nni.serving.history import recommend_after
    from easrec_nni.serving.onnx_export import export_onnx, need_onnx
    from easrec_nni.serving.onnx_int8 import quantise_onnx
    from easrec_nni.settings.trial import TrialSettings
    from easrec_nni.study.reproduce import Request, reproduce
    from easrec_nni.tabular.agreement import agreement
    from easrec_nni.tabular.build_folder import BuildFolder
    from easrec_nni.tabular.building import Build
    from easrec_nni.tabular.collecting import build_table
    from easrec_nni.tabular.documents import TableDocument, read_table, write_table
    from easrec_nni.tabular.experiment import run_as_experiment
    from easrec_nni.tabular.merging import merge_tables, with_latency
    from easrec_nni.tabular.results import OWN_COST, write_regret, write_study
    from easrec_nni.tabular.searches import read_searches
    from easrec_nni.tabular.simulation import TabularEvaluator, check_strategies
    from easrec_nni.tabular.studying import study_strategies
    from easrec_nni.tabular.table import ArchitectureTable
    from easrec_nni.training.context import TrialContext
    from easrec_nni.training.recorded import with_recorded
    from easrec_nni.training.run_folder import RunFolder
    from easrec_nni.training.threads import use_threads
    from easrec_nni.trial.run import run_trial

__getattr__ = lazy_names(__name__)
