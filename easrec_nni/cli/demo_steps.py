"""Steps of ``easrec demo`` (``make demo``): MovieLens-100K from raw interactions to a comparison table.

Steps that are complete are skipped; ``--fresh`` repeats them. However the demo ends, also by Ctrl-C, it leaves no
process behind.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console
from rich.markup import escape

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.cli.reporter import RichReporter
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json, write_text
from easrec_nni.common.readable import readable_seconds
from easrec_nni.data import load_dataset, prepare
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.experiments.experiment import check_results
from easrec_nni.experiments.export import ARCHITECTURE_FILE, WEIGHTS_FILE, export_architecture
from easrec_nni.experiments.manager import DEFAULT_PORT, running_experiment
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.experiments.watching import trials_table, watch
from easrec_nni.report.comparison import ComparisonRow, comparison_csv, comparison_markdown, comparison_table, read_run
from easrec_nni.settings.examples import examples_folder
from easrec_nni.study.systems.popularity import Popularity

__all__ = ["run_demo"]

EXAMPLE, DATASET = "ml100k", "ml-100k"
STATE_FILE = "experiment.json"
TABLE_TITLE = "MovieLens-100K: searched, unpruned, popularity"


class Demo:
    """Steps of the demo in one folder of results.

    Parameters
    ----------
    out
        Folder for the results.
    port
        Preferred port of the web UI.
    source
        Local copy of MovieLens-100K, or None to download it.
    console
        Console that shows the progress.
    """

    def __init__(self, out: Path, port: int, source: Path | None, console: Console) -> None:
        self.out, self.port, self.source, self.console = out, port, source, console
        self.config = examples_folder() / f"{EXAMPLE}.yml"
        self.settings = examples_folder() / "settings" / f"{EXAMPLE}.yml"

    def run(self) -> None:
        """Run all steps."""
        begin = time.monotonic()
        self.step(1, "data")
        fingerprint = self.prepare()
        self.step(2, "search: one NNI trial for each λ")
        experiment_id = self.search(fingerprint)
        self.step(3, "export an architecture")
        self.export(experiment_id)
        self.step(4, "retrain the searched and the unpruned network")
        rows = self.retrain(fingerprint)
        self.step(5, "compare on the test set")
        self.compare([*rows, self.popularity()])
        self.console.print(f"\nthe demo took {readable_seconds(time.monotonic() - begin)}", highlight=False)
        # NNI's own command shows any experiment in its records.
        self.console.print(f"to see the trials again: nnictl view {experiment_id} --port {self.port}", highlight=False)

    def step(self, number: int, title: str) -> None:
        """Print the heading of a step."""
        self.console.print(f"\n[bold]{number}/5[/] [bold cyan]{escape(title)}[/]", highlight=False)

    def say(self, line: str) -> None:
        """Print a line without markup."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def prepare(self) -> str:
        """Prepare the dataset; return its fingerprint."""
        with RichReporter(self.console) as reporter:
            dataset = prepare(DATASET, path=self.source, reporter=reporter)
        counts = dataset.manifest.counts
        self.say(f"{counts.users} users, {counts.items} items, {counts.interactions} interactions in {dataset.path}")
        return dataset.fingerprint

    def search(self, fingerprint: str) -> str:
        """Run the experiment, or reuse that of an earlier run; return its id."""
        state_file = self.out / STATE_FILE
        made_from = _digest(self.config.read_bytes(), self.settings.read_bytes(), fingerprint.encode())
        earlier = self.earlier(state_file, made_from)
        if earlier is not None:
            self.say(f"reusing experiment {earlier} of an earlier run (--fresh starts over)")
            self.console.print(trials_table(list_trials(find_experiment(earlier))))
            return earlier
        expected = yaml.safe_load(self.config.read_text(encoding="utf-8")).get("maxTrialNumber")
        with running_experiment(self.config, self.port, say=self.say) as experiment:
            self.say(f"nnictl create --config {self.config} → experiment {experiment.id}")
            self.console.print(f"web UI, while the trials run: [link={experiment.url}]{experiment.url}[/link]")
            trials = watch(experiment, self.console, expected)
            check_results(trials, self.say)
        write_text(state_file, json.dumps({"id": experiment.id, "made_from": made_from}, indent=2) + "\n")
        return experiment.id

    def earlier(self, state_file: Path, made_from: str) -> str | None:
        """Id of a finished experiment with the same data and settings, if its files still exist."""
        try:
            state = read_json(state_file)
            if state["made_from"] != made_from:
                return None
            trials = list_trials(find_experiment(str(state["id"])))
        except (OSError, ValueError, KeyError, TypeError, UserError):
            return None
        usable = any(trial.score is not None and (trial.folder / ARCHITECTURE_FILE).is_file() for trial in trials)
        return str(state["id"]) if usable else None

    def export(self, experiment_id: str) -> None:
        """Export the selected trial's architecture and supernet, and the unpruned architecture.

        With few validation users the best of four trials is best by chance, so the cheapest within one standard error
        is taken.
        """
        exported = export_architecture(experiment_id, self.out / ARCHITECTURE_FILE, weights=True, smallest=True)
        self.say(f"trial {exported.trial.number}: the cheapest of those within one standard error of the best")
        unpruned = exported.architecture.unpruned()
        unpruned.write(self.out / "unpruned.json")
        self.console.print(exported.architecture.draw(architecture_cost(unpruned.space, unpruned.choices).as_dict()))

    def retrain(self, fingerprint: str) -> list[ComparisonRow]:
        """Retrain both networks with the same budget, using the standalone script."""
        runs = (
            ("searched", ARCHITECTURE_FILE, ["--weights", str(self.out / WEIGHTS_FILE)]),
            ("unpruned", "unpruned.json", ["--scratch"]),
        )
        rows = []
        for name, file, weights in runs:
            architecture, folder = self.out / file, self.out / name
            made_from = _digest(architecture.read_bytes(), self.settings.read_bytes(), fingerprint.encode())
            stamp = folder / "made_from.txt"
            unchanged = stamp.is_file() and stamp.read_text(encoding="utf-8") == made_from
            if unchanged and (folder / "metrics.json").is_file():
                self.say(f"reusing {folder} of an earlier run")
            else:  # an unchanged run resumes where it was interrupted
                write_text(stamp, made_from)
                options = _retrain_options(architecture, folder, self.settings)
                self.call("easrec_nni.retrain", *options, *weights, *([] if unchanged else ["--restart"]))
            rows.append(read_run(name, folder / "metrics.json"))
        return rows

    def call(self, module: str, *options: str) -> None:
        """Run a module of the package in a child process."""
        self.say(f"$ python -m {module} {' '.join(options)}")
        status = subprocess.run([sys.executable, "-W", "ignore", "-m", module, *options], check=False).returncode
        if status:
            raise UserError(f"python -m {module} ended with exit code {status}; its message is above")

    def popularity(self) -> ComparisonRow:
        """Evaluate the popularity baseline."""
        dataset = load_dataset(DATASET)
        return ComparisonRow("popularity", evaluate(Popularity(dataset), dataset, "test"))

    def compare(self, rows: Sequence[ComparisonRow]) -> None:
        """Print the table and write it as CSV and Markdown."""
        self.console.print(comparison_table(rows, TABLE_TITLE))
        costs = [row.figures.get("madds_per_user") for row in rows[:2]]
        if costs[0] and costs[1]:
            self.say(f"the searched network has {costs[0] / costs[1]:.0%} of the unpruned network's multiply-adds")
        write_text(self.out / "comparison.csv", comparison_csv(rows))
        write_text(self.out / "comparison.md", f"## {TABLE_TITLE}\n\n{comparison_markdown(rows)}\n")
        self.say(f"written to {self.out}: comparison.csv, comparison.md, architecture.json, searched/, unpruned/")


def _retrain_options(architecture: Path, folder: Path, settings: Path) -> list[str]:
    return ["--arch", str(architecture), "--data", DATASET, "--settings", str(settings), "--out", str(folder)]


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()


def run_demo(out: Path, port: int = DEFAULT_PORT, source: Path | None = None, fresh: bool = False) -> None:
    """Run the demo.

    Parameters
    ----------
    out
        Folder for the results.
    port
        Preferred port of the web UI; the next free one is used.
    source
        Local copy of MovieLens-100K, or None to download it.
    fresh
        Repeat completed steps.

    Raises
    ------
    UserError
        A step failed; the message has the reason.
    KeyboardInterrupt
        The demo was interrupted; completed steps are kept, and no process is left.
    """
    if fresh:
        _forget_completed_steps(out)
    Demo(out, port, source, Console()).run()


def _forget_completed_steps(out: Path) -> None:
    """Remove the markers of completed steps; results stay."""
    for mark in (out / STATE_FILE, out / "searched" / "made_from.txt", out / "unpruned" / "made_from.txt"):
        mark.unlink(missing_ok=True)
