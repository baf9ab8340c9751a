"""``easrec profile``: a latency file of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.common.errors import UserError
from easrec_nni.common.files import write_json
from easrec_nni.settings.assignments import read_assignments


def profile_command(
    data: Annotated[str, typer.Argument(metavar="DATASET", help="Prepared dataset, by name or path.")],
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings that hold the space; defaults without it.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; can be repeated.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Users per batch; evaluation's by default, 1: one by one.", min=1)
    ] = None,
    users: Annotated[
        int | None,
        typer.Option(
            help="Test users to time, spread over short and long histories [200 one by one, or 20 batches].", min=1
        ),
    ] = None,
    turns: Annotated[int, typer.Option(help="Timed turns of all networks, after a warm-up.", min=1)] = 7,
    check: Annotated[
        int, typer.Option(help="Architectures whose end-to-end time is compared with its prediction.", min=0)
    ] = 8,
    clock: Annotated[
        str, typer.Option(metavar="NAME", help="wall; processor: of one thread, on a machine with other load.")
    ] = "wall",
    out: Annotated[Path, typer.Option(metavar="FILE", help="Latency file to write.")] = Path("latency.json"),
    threads: Annotated[int | None, typer.Option(help="Threads; all cores by default.", min=1)] = None,
) -> None:
    """Measure what each layer of a space costs on this machine, in milliseconds per user.

    Networks with random weights score the dataset's test users, as their histories are, in alternation. The sums of the
    measured parts predict the latency of every architecture of the space; the command ends with their error against
    end-to-end times. Take the file to `easrec show --latency`.

    \b
    Examples:
      easrec profile amazon-beauty --settings settings/amazon-beauty.yml
      easrec profile amazon-beauty --settings settings/amazon-beauty.yml --batch 1 --out one-by-one.json
      easrec profile ml-1m --settings settings/ml1m.yml --threads 1 --clock processor
    """  # noqa: D301 (the command line's formatter asks for this character)
    if clock not in ("wall", "processor"):
        raise UserError(f"unknown --clock {clock}; choose from wall, processor")
    if out.is_dir():
        raise UserError(f"--out {out} is a folder: name a file")
    begin_training_command(threads)
    trial_settings = toolkit.TrialSettings.read(settings) if settings else toolkit.TrialSettings(data=data)
    trial_settings = trial_settings.with_parameters({"data": data, **read_assignments(set_)})
    context = toolkit.TrialContext.open(trial_settings)
    columns = (TextColumn("timing networks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("", total=None)
        document = toolkit.measure_latency(
            context,
            batch_size=batch,
            users=users,
            turns=turns,
            checked=check,
            clock="processor" if clock == "processor" else "wall",
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    write_json(out, document.as_json())
    print("\n".join(toolkit.latency_report(document)))
    print(f"\nthe latency file is {out}")
