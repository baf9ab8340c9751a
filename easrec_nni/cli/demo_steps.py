"""Steps of ``easrec demo``: from raw interactions to the smallest network that keeps the accuracy.

Steps that are complete are skipped; ``--fresh`` repeats the experiment. However the demo ends, also by Ctrl-C, it
leaves no process behind.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.markup import escape

from easrec_nni.architecture.cost import architecture_cost
from easrec_nni.cli.reporter import RichReporter
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_copy, atomic_write, read_json, write_text
from easrec_nni.common.readable import readable_seconds
from easrec_nni.common.run_files import (
    ARCHITECTURE_FILE,
    HISTORY_FILE,
    METRICS_FILE,
    RANKS_FILE,
    RETRAINED_FOLDER,
    WEIGHTS_FILE,
)
from easrec_nni.data import PrepareSettings, prepare
from easrec_nni.data.dataset import Dataset
from easrec_nni.evaluation.figures import RANKINGS
from easrec_nni.evaluation.scoring import evaluate
from easrec_nni.experiments.experiment import Trial, check_results
from easrec_nni.experiments.export import export_architecture
from easrec_nni.experiments.manager import DEFAULT_PORT, running_experiment
from easrec_nni.experiments.records import find_experiment, list_trials
from easrec_nni.experiments.watching import trials_table, watch
from easrec_nni.report.comparison import ComparisonRow, comparison_csv, comparison_markdown, comparison_table, read_run
from easrec_nni.report.judgements import JudgedTrial, choice_of, choice_text, judged_trials
from easrec_nni.report.plots.judgement import judgement_plot
from easrec_nni.settings.examples import examples_folder
from easrec_nni.study.systems.popularity import Popularity

__all__ = ["run_demo"]

EXAMPLE, DATASET, NAME = "demo", "ml-100k", "demo"
TARGETS = 5
SPLIT = f"last:{TARGETS}"
STEPS = 4
STATE_FILE = "experiment.json"
PICTURE = "judgement"
RUN_FILES = (ARCHITECTURE_FILE, WEIGHTS_FILE, METRICS_FILE, RANKS_FILE, HISTORY_FILE)


@dataclass(frozen=True)
class Demo:
    """Place, port and console of a demo.

    Attributes
    ----------
    out
        Folder for the results.
    port
        Preferred port of the web UI.
    console
        Console that shows the progress.
    """

    out: Path
    port: int
    console: Console

    def step(self, number: int, title: str) -> None:
        """Print the heading of a step."""
        self.console.print(f"\n[bold]{number}/{STEPS}[/] [bold cyan]{escape(title)}[/]", highlight=False)

    def say(self, line: str) -> None:
        """Print a line without markup."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


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
    demo, begin = Demo(out, port, Console()), time.monotonic()
    if fresh:
        (out / STATE_FILE).unlink(missing_ok=True)
    demo.step(1, "data")
    prepared = prepare_data(demo, source)
    demo.step(2, "search: one NNI trial for each budget, each judged against the unpruned network")
    experiment_id, trials = search(demo, prepared)
    demo.step(3, "choose the smallest network that keeps the accuracy")
    judged = judged_trials(trials)
    chosen = choose(demo, experiment_id, judged)
    demo.step(4, "is the accuracy kept?")
    compare(demo, prepared, chosen)
    conclude(demo, judged, chosen)
    demo.say(f"\nthe demo took {readable_seconds(time.monotonic() - begin)}")
    # NNI's own command shows any experiment in its records.
    demo.say(f"to see the trials again: nnictl view {experiment_id} --port {port}")


def prepare_data(demo: Demo, source: Path | None) -> Dataset:
    """Prepare MovieLens-100K with several targets per user: their mean varies less over users than a single one."""
    with RichReporter(demo.console) as reporter:
        dataset = prepare(DATASET, path=source, name=NAME, settings=PrepareSettings(split=SPLIT), reporter=reporter)
    counts = dataset.manifest.counts
    demo.say(f"{counts.users} users, {counts.items} items, {counts.interactions} interactions in {dataset.path}")
    demo.say(f"the last {TARGETS} films of every user are test targets, the {TARGETS} before them validation targets")
    return dataset


def search(demo: Demo, dataset: Dataset) -> tuple[str, list[Trial]]:
    """Run the experiment, or reuse that of an earlier run; return its id and trials."""
    config = write_experiment(demo.out, dataset)
    settings = config.parent / "settings" / config.name
    made_from = _digest(config.read_bytes(), settings.read_bytes(), dataset.fingerprint.encode())
    reused = earlier(demo.out / STATE_FILE, made_from)
    if reused is not None:
        demo.say(f"reusing experiment {reused[0]} of an earlier run (--fresh starts over)")
        demo.console.print(trials_table(reused[1]))
        return reused
    expected = yaml.safe_load(config.read_text(encoding="utf-8")).get("maxTrialNumber")
    with running_experiment(config, demo.port, say=demo.say) as experiment:
        demo.say(f"nnictl create --config {config} → experiment {experiment.id}")
        demo.console.print(f"web UI, while the trials run: [link={experiment.url}]{experiment.url}[/link]")
        trials = watch(experiment, demo.console, expected)
        check_results(trials, demo.say)
    write_text(demo.out / STATE_FILE, json.dumps({"id": experiment.id, "made_from": made_from}, indent=2) + "\n")
    return experiment.id, trials


def write_experiment(out: Path, dataset: Dataset) -> Path:
    """Copy the example's experiment and settings, which then name the dataset; return the experiment's file."""
    source, target = examples_folder(), out / "experiment"
    config = target / f"{EXAMPLE}.yml"
    atomic_copy(source / config.name, config)
    settings = (source / "settings" / config.name).read_text(encoding="utf-8")
    lines = [f"data: {dataset.path.resolve()}" if line.startswith("data:") else line for line in settings.splitlines()]
    write_text(target / "settings" / config.name, "\n".join(lines) + "\n")
    return config


def earlier(state_file: Path, made_from: str) -> tuple[str, list[Trial]] | None:
    """Finished experiment with the same data and settings and its trials, if its files still exist."""
    try:
        state = read_json(state_file)
        if state["made_from"] != made_from:
            return None
        trials = list_trials(find_experiment(str(state["id"])))
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None
    usable = [each for each in judged_trials(trials) if (each.trial.folder / ARCHITECTURE_FILE).is_file()]
    return (str(state["id"]), trials) if usable else None


def choose(demo: Demo, experiment_id: str, judged: Sequence[JudgedTrial]) -> JudgedTrial:
    """Choose a trial by the validation users; export its architecture, supernet, network and the unpruned network."""
    if not judged:
        raise UserError("no trial was judged against the unpruned network: see the trials' logs, and run with --fresh")
    chosen = choice_of(judged)
    trial = chosen.trial
    exported = export_architecture(experiment_id, demo.out / ARCHITECTURE_FILE, trial.id, weights=True)
    unpruned = Path(str((trial.final or {}).get("unpruned_run")))
    for run, name in ((trial.folder / RETRAINED_FOLDER, "searched"), (unpruned, "unpruned")):
        for file in RUN_FILES:
            atomic_copy(run / file, demo.out / name / file)
    space = exported.architecture.space
    demo.console.print(exported.architecture.draw(architecture_cost(space, space.largest).as_dict()))
    return chosen


def compare(demo: Demo, dataset: Dataset, chosen: JudgedTrial) -> None:
    """Print the table of the networks' test figures and write it as CSV and Markdown."""
    title = "MovieLens-100K: searched, unpruned, popularity"
    rows = [read_run(name, demo.out / name / METRICS_FILE) for name in ("searched", "unpruned")]
    figures = evaluate(Popularity(dataset), dataset, "test", protocols=RANKINGS)
    rows.append(ComparisonRow("popularity", figures, dataset.split.name))
    demo.console.print(comparison_table(rows, title))
    write_text(demo.out / "comparison.csv", comparison_csv(rows))
    text = f"## {title}\n\n{comparison_markdown(rows)}\n\n{chosen.test.text}\n"
    write_text(demo.out / "comparison.md", text)


def conclude(demo: Demo, judged: Sequence[JudgedTrial], chosen: JudgedTrial) -> None:
    """Print the judgement and write its picture."""
    drawn = judgement_plot(judged, chosen, PICTURE)
    write_text(demo.out / f"{PICTURE}.svg", drawn.svg)
    with atomic_write(demo.out / f"{PICTURE}.png") as temporary:
        temporary.write_bytes(drawn.png)
    for line in choice_text(judged, chosen):
        demo.console.print(line, markup=False, highlight=False, soft_wrap=True, style="bold")
    demo.say(f"picture of all candidates: {demo.out / PICTURE}.png")
    demo.say(f"also in {demo.out}: comparison.csv, comparison.md, architecture.json, searched/, unpruned/")


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()
