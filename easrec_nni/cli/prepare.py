"""``easrec prepare``: turn a named dataset or local files into a dataset folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from easrec_nni.cli import toolkit
from easrec_nni.cli.reporter import RichReporter
from easrec_nni.common.errors import UserError

if TYPE_CHECKING:
    from easrec_nni.data import Manifest


def prepare_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH",
            help="ml-100k, ml-1m, gowalla, douban, amazon-beauty, amazon-toys, amazon-sports, synthetic-gowalla; or a "
            "local file, folder of parts, pattern such as 'logs/*.csv', or - for a pipe.",
        ),
    ],
    path: Annotated[
        Path | None,
        typer.Option(help="Local files of a named dataset, instead of downloading it."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the result. [default: $EASREC_HOME/datasets/NAME]",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the result, by default that of the source.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Prepare anew and replace the dataset there.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampled negatives, and of a synthetic log.")] = 0,
    min_user_interactions: Annotated[
        int,
        typer.Option(min=1, help="Drop users with fewer, again and again (k-core)."),
    ] = 1,
    min_item_interactions: Annotated[
        int,
        typer.Option(min=1, help="Drop items with fewer, again and again (k-core)."),
    ] = 1,
    min_rating: Annotated[float | None, typer.Option(help="Drop interactions with a lower rating.")] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="SPLIT",
            help="leave-one-out; time:90%, time:2024-06-01 or two such points, what follows them being the targets of "
            "validation and test; last:K of each user; or none: everything trains.",
        ),
    ] = "leave-one-out",
    evaluate_users: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Evaluate a sample of so many users, drawn once. [all]")
    ] = None,
    drop_duplicates: Annotated[
        bool,
        typer.Option(
            "--drop-duplicates/--keep-duplicates",
            help="Drop rows that repeat user, item and time.",
        ),
    ] = True,
    drop_invalid: Annotated[
        bool,
        typer.Option("--drop-invalid", help="Drop rows without id or time instead of stopping."),
    ] = False,
    user_column: Annotated[str | None, typer.Option(help="Column of users: its name, or its number.")] = None,
    item_column: Annotated[str | None, typer.Option(help="Column of items.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Column of times: numbers, or dates.")] = None,
    clock_column: Annotated[str | None, typer.Option(help="Time of day, beside the date in --time-column.")] = None,
    rating_column: Annotated[str | None, typer.Option(help="Column of ratings.")] = None,
    time_format: Annotated[str | None, typer.Option(help="Format of dates, such as '%d.%m.%Y %H:%M'.")] = None,
    time_unit: Annotated[
        str, typer.Option(help="Unit of times that are numbers: auto, number, mixed, s, ms, us or ns.")
    ] = "auto",
    order_is_time: Annotated[
        bool, typer.Option("--order-is-time", help="The order of the rows is the time; no time column.")
    ] = False,
    newest_first: Annotated[
        bool, typer.Option("--newest-first", help="Equal times of a user lie from new to old in the file.")
    ] = False,
    where: Annotated[
        str | None, typer.Option(help="Condition on the columns, such as \"event = 'purchase' and price > 0\".")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First time to keep, such as 2024-01-01.")] = None,
    until: Annotated[str | None, typer.Option(help="First time to drop, such as 2024-06-01.")] = None,
    collapse_repeats: Annotated[
        bool, typer.Option("--collapse-repeats", help="Drop interactions that repeat the item right before.")
    ] = False,
    normalize_ids: Annotated[
        str, typer.Option(help="none, trim (blanks around ids) or lower (and upper case).")
    ] = "none",
    keep_missing_words: Annotated[
        bool, typer.Option("--keep-missing-words", help="NULL, None, nan and \\N are ids, not missing values.")
    ] = False,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether the first line has the columns' names.")
    ] = None,
    layout: Annotated[
        str, typer.Option(help="A line of text is an interaction (rows), or a user and all its items (sequences).")
    ] = "auto",
    delimiter: Annotated[str | None, typer.Option(help="Character between columns, such as ';' or '\\t'.")] = None,
    quote: Annotated[str | None, typer.Option(help="Character around values, such as '\"', or none.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of a text table, such as latin-1.")] = None,
    also: Annotated[
        list[str] | None, typer.Option("--also", metavar="PATH", help="Another file of the same columns; repeatable.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory to take, such as 4GB. [default: half of what is there]")
    ] = None,
    spill: Annotated[
        Path | None, typer.Option(help="Folder for what does not fit. [default: the system's temporary files]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be understood, and write nothing.")
    ] = False,
) -> None:
    """Prepare a dataset: read it, filter it, split it and draw its negatives.

    It says which column was taken for what, how times were read and which rows were dropped, before it writes.
    Interactions are sorted by user and time; equal times keep the order of the file. A second run with
    the same source and settings reuses what is there.

    \b
    Examples:
      easrec prepare ml-100k
      easrec prepare ml-1m --path Downloads/ml-1m.zip --min-item-interactions 5
      easrec prepare log.csv --user-column customer --item-column product --dry-run
      easrec prepare log.csv --split time:90% --evaluate-users 100000
      easrec prepare events.jsonl --where "event = 'purchase' and price > 0"
      easrec prepare 'clicks/*.parquet' --name clicks --memory 4GB --since 2024-01-01
      easrec prepare ratings.csv --no-header --user-column 1 --item-column 2 --time-column 4
      easrec prepare Toys.txt --order-is-time            (lines of a user and an item, or all its items)
      zcat log.csv.gz | easrec prepare - --name log
    """  # noqa: D301 (the command line's formatter asks for this character)
    if min_rating is not None and not math.isfinite(min_rating):
        raise UserError("--min-rating must be a finite number")
    for option, chosen, choices in (
        ("time-unit", time_unit, ("auto", "number", "mixed", "s", "ms", "us", "ns")),
        ("normalize-ids", normalize_ids, ("none", "trim", "lower")),
        ("layout", layout, ("auto", "rows", "sequences")),
    ):
        if chosen not in choices:
            raise UserError(f"--{option} {chosen!r} must be one of {', '.join(choices)}")
    settings = toolkit.PrepareSettings(
        min_user_interactions=min_user_interactions,
        min_item_interactions=min_item_interactions,
        min_rating=min_rating,
        drop_duplicates=drop_duplicates,
        drop_invalid=drop_invalid,
        user_column=user_column,
        item_column=item_column,
        time_column=time_column,
        rating_column=rating_column,
        delimiter=delimiter,
        encoding=encoding,
        quote=quote,
        header=header,
        layout=layout,
        clock_column=clock_column,
        order_is_time=order_is_time,
        newest_first=newest_first,
        time_format=time_format,
        time_unit=time_unit,
        keep_missing_words=keep_missing_words,
        normalize_ids=normalize_ids,
        where=where,
        since=since,
        until=until,
        collapse_repeats=collapse_repeats,
        seed=seed,
        split=split.strip(),
        evaluate_users=evaluate_users,
    )
    files = [source, *(also or [])] if also else source
    with RichReporter(Console(stderr=True)) as reporter:
        if dry_run:
            toolkit.preview(files, path=path, settings=settings, memory=memory, spill=spill, reporter=reporter)
            return
        dataset = toolkit.prepare(
            files,
            out,
            path=path,
            name=name,
            settings=settings,
            force=force,
            memory=memory,
            spill=spill,
            reporter=reporter,
        )
    show(dataset.manifest, dataset.path, Console())


def show(manifest: Manifest, path: Path, console: Console) -> None:
    """Print the counts of a dataset and what was dropped.

    Parameters
    ----------
    manifest : Manifest
        The dataset's manifest.
    path : Path
        Its folder.
    console : Console
        Where to print.
    """
    counts = manifest.counts
    table = Table("dataset", "# users", "# items", "UA", "IA", "# interactions")
    for column in table.columns[1:]:
        column.justify = "right"
    averages = f"{counts.interactions_per_user:.2f}", f"{counts.interactions_per_item:.2f}"
    table.add_row(manifest.name, f"{counts.users}", f"{counts.items}", *averages, f"{counts.interactions}")
    console.print(table)
    lines = [
        "UA and IA are interactions per user and per item. No count has the padding entry in it;",
        f"with it, as the EASRec paper counts, there are {counts.users + 1} users and {counts.items + 1} items.",
        *toolkit.split_lines(manifest.split),
        "item features: " + (", ".join(f"{each.name} ({each.values})" for each in manifest.features) or "none"),
    ]
    lines += [f"dropped: {count} {reason}" for reason, count in manifest.dropped.items()] or ["dropped: nothing"]
    for key, short in manifest.negatives.users_short.items():
        if short:
            rows = "targets" if manifest.split.parts else "users"
            lines.append(f"negatives {key}: {short} {rows} have fewer than {manifest.negatives.k} candidates")
    lines.append(f"written to {path}")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
