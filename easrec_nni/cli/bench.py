"""``easrec bench``: timings of every stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easrec_nni.cli import toolkit
from easrec_nni.cli.logs import begin_training_command
from easrec_nni.common.errors import UserError
from easrec_nni.settings.assignments import read_assignments


def bench_command(
    data: Annotated[str | None, typer.Argument(metavar="DATASET", help="Prepared dataset, by name or path.")] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings of space, search and training; defaults without it.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; can be repeated.")
    ] = None,
    arch: Annotated[
        Path | None,
        typer.Option("--arch", metavar="FILE", help="Searched architecture to measure beside the unpruned one."),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option("--run", metavar="DIR", help="onnx: folder of a retrained network; can be repeated."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path("bench"),
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Run only this measurement; can be repeated.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Skip this measurement; can be repeated.")
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="time-to-ndcg: validation NDCG@10 over all items to reach.")
    ] = None,
    sizes: Annotated[
        list[int] | None,
        typer.Option("--size", metavar="N", help="prepare-scale: interactions of a log; can be repeated.", min=1000),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Timed repeats, after a warm-up.", min=1)] = 5,
    batches: Annotated[
        int | None, typer.Option(help="Iterations of an epoch to measure; all by default.", min=1)
    ] = None,
    allocator: Annotated[
        str, typer.Option(metavar="NAME", help="keep: the process keeps freed memory; default: glibc's behaviour.")
    ] = "keep",
    threads: Annotated[int | None, typer.Option(help="Threads; all cores by default.", min=1)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Run everything once at a small size.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Repeat completed measurements.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the measurements and exit.")] = False,
) -> None:
    """Measure preparation, search, training, evaluation and inference times, and how they scale.

    Each measurement runs in a process of its own and is saved as soon as it is complete; the same command resumes an
    interrupted run. The folder of --out has bench.json, bench.md and the scaling plot. Networks have random weights,
    as their time does not depend on them.

    \b
    Examples:
      easrec bench --list
      easrec bench ml-100k --settings settings/ml100k.yml --target 0.06
      easrec bench ml-1m --settings settings/ml1m.yml --arch architecture.json --skip time-to-ndcg --batches 40
      easrec bench ml-1m --only scaling-max_length --only scaling-n_items --out scaling
      easrec bench ml-1m --only onnx --run runs/ml1m/retrained
      easrec bench --only loss-memory
      easrec bench --only prepare-scale --size 1000000 --size 10000000 --repeats 3 --threads 1
      easrec bench ml-100k --quick
    """  # noqa: D301 (the command line's formatter asks for this character)
    if list_:
        for name, measurement in toolkit.ALL.items():
            print(f"{name}: {measurement.summary}{'' if measurement.by_default else ' (with --only)'}")
        return
    if allocator not in ("keep", "default"):
        raise UserError(f"unknown --allocator {allocator}; choose from keep, default")
    begin_training_command(threads)
    measurements = toolkit.select_measurements(only or [], skip or [])
    if data is None and any(measurement.needs_dataset for measurement in measurements):
        raise UserError("name the dataset to measure on: easrec bench DATASET, such as easrec bench ml-100k")
    trial_settings = toolkit.TrialSettings.read(settings) if settings else toolkit.TrialSettings(data=data or "none")
    trial_settings = trial_settings.with_parameters({**({"data": data} if data else {}), **read_assignments(set_)})
    request = toolkit.BenchRequest(
        dataset=data,
        settings=trial_settings.model_dump(mode="json", by_alias=True),
        choices=toolkit.Architecture.read(arch).choices.model_dump() if arch else None,
        runs=tuple(map(str, run or [])),
        sizes=tuple(sizes or []),
        target=target,
        repeats=1 if quick else repeats,
        batches=batches,
        threads=toolkit.use_threads(threads),
        allocator=allocator,
        quick=quick,
    )
    try:
        if data is not None:
            toolkit.Bench(request).choices  # noqa: B018 (raises for an architecture of another space before anything is measured)
    except ValueError as error:
        raise UserError(f"--arch {arch}: {error}") from None
    measured = toolkit.run_measurements(request, measurements, out, restart)
    toolkit.write_documents(toolkit.all_documents(out, list(toolkit.ALL), measured), out)
    print(f"bench.md and bench.json are in {out}")
