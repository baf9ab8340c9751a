"""``easrec recommend``: next items for a history or a stream of events."""

from __future__ import annotations

import json
import os
import signal
import sys
import unicodedata
import warnings
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Annotated, TextIO

import typer

from easrec_nni.cli import toolkit
from easrec_nni.common.errors import UserError
from easrec_nni.common.readable import counted
from easrec_nni.common.signals import StopSignals

EXIT_READER_LEFT = 141  # shell convention for SIGPIPE (128 + 13)


def recommend_command(
    run: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `easrec retrain` wrote.")],
    history: Annotated[
        str | None,
        typer.Option(
            metavar="ITEM,…|JSON",
            help="Item ids of a user, oldest first; or a JSON list of strings and integers.",
        ),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Read events from stdin, one JSON object per line, and answer each.")
    ] = False,
    k: Annotated[int, typer.Option("--k", help="Items to recommend.", min=1)] = 10,
    unseen: Annotated[bool, typer.Option("--unseen", help="Leave out items that the user already had.")] = False,
    data: Annotated[str | None, typer.Option("--data", help="Prepared dataset; the run's by default.")] = None,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Items are item numbers, so that no dataset is needed.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="With --stream: file of users' states, loaded and saved."),
    ] = None,
    save_events: Annotated[
        int, typer.Option(metavar="N", help="With --state: save after this many events.", min=1)
    ] = 10_000,
    save_seconds: Annotated[
        int,
        typer.Option(metavar="S", help="With --state: save at the latest after this many seconds.", min=0, max=86_400),
    ] = 60,
    threads: Annotated[int, typer.Option(help="Threads.", min=1)] = 1,
) -> None:
    """Recommend the next items after a history, or after each event of a stream.

    Give the history as JSON if ids contain commas, start or end with blanks, or start with a bracket. Ids are printed
    unchanged, except that those with control characters are printed as JSON strings.

    A stream keeps a state of constant size for each user, so that every event takes the same time. It needs a network
    trained for streaming (settings/streaming.yml of `easrec init`). Each input line has a user and an item, or only a
    user; ids are strings or integers, and 7 and "7" are the same. An invalid line is answered with {"error": ...} and
    counted; the stream continues.

    States are saved while the stream runs and when it ends: at the end of the input, on a signal, or when the reader of
    the answers closes the pipe. A SIGKILL loses at most --save-events events, and the next start reports it. Only one
    process at a time can use a file of states (its lock is FILE.lock).

    Exit codes: 0 at the end of the input or on SIGTERM or SIGHUP; 130 on SIGINT; 141 if the reader of the answers left;
    2 on bad input, or if states or answers cannot be written.

    \b
    Examples:
      easrec recommend retrained --history 50,181,258
      easrec recommend retrained --history 50,181,258 --k 5 --unseen
      easrec recommend retrained --history '["a, b", "007", 258]'
      echo '{"user": "ann", "item": "50"}' | easrec recommend retrained --stream --state users.safetensors
    """  # noqa: D301 (the command line's formatter asks for this character)
    if (history is None) == (not stream):
        raise UserError("give either --history ITEM,… or --stream")
    if state is not None and not stream:
        raise UserError("--state belongs to --stream")
    # One event's matrix products are too small for several threads; NumPy reads this when it is imported, below.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
    warnings.filterwarnings("ignore", module="nni.*")  # the user cannot act on them

    toolkit.use_threads(threads)
    if history is not None:
        items, scores = _one_shot(run, _items(history), k, unseen, data, numbers)
        for item, score in zip(items, scores, strict=True):
            print(f"{_printed(item)}\t{score:.4f}")
        return
    _stream(run, k, unseen, data, numbers, state, save_events, save_seconds)


def _items(history: str) -> list[str]:
    """Item ids of a history, given as a JSON list or separated by commas."""
    if not history.lstrip().startswith("["):
        items = [item.strip() for item in history.split(",")]
        if "" in items and items != [""]:
            raise UserError(f"item {items.index('') + 1} of {len(items)} of the history is empty: leave out the comma")
        return [item for item in items if item]
    advice = (
        """a history that begins with [ must be a JSON list of strings and integers, such as '["a,b", "007", 258]'"""
    )
    try:
        items = json.loads(history)
    except (ValueError, RecursionError):
        raise UserError(advice) from None
    if any(not isinstance(item, str | int) or isinstance(item, bool) for item in items):
        raise UserError(advice)
    return [str(item) for item in items]


def _printed(item: str) -> str:
    """Id that is safe to print in one row, without control characters."""
    return json.dumps(item) if any(unicodedata.category(character) in ("Cc", "Cs") for character in item) else item


def _one_shot(
    run: Path, items: list[str], k: int, unseen: bool, data: str | None, numbers: bool
) -> tuple[list[str], list[float]]:
    network, dataset = toolkit.open_run(run, data, needs_dataset=not numbers)
    _tell_of_refit(run)
    return toolkit.recommend_after(network, items, k, unseen, None if numbers or dataset is None else dataset.item_ids)


def _stream(
    run: Path,
    k: int,
    unseen: bool,
    data: str | None,
    numbers: bool,
    state: Path | None,
    save_events: int,
    save_seconds: int,
) -> None:
    source, sink = _descriptor(sys.__stdin__, "input"), _descriptor(sys.__stdout__, "output")
    state_file = None if state is None else toolkit.AutosavedStates(state, save_events, save_seconds, _say)
    with state_file or nullcontext():
        settings = state_file.settings() if state_file else {}
        if unseen and not settings.get("keep_seen", True):
            raise UserError(
                f"{state} was started without --unseen and has no record of users' items: leave --unseen out, or "
                "start with another file"
            )
        recommender = toolkit.StreamingRecommender.load(run, data, numbers=numbers, **{"keep_seen": unseen, **settings})
        _tell_of_refit(run)
        with StopSignals() as stop:
            if state_file:
                state_file.begin(recommender)
            events = toolkit.EventStream(recommender, state_file, stop, k, unseen)
            try:
                events.run(source, sink)
            finally:
                if state_file:
                    state_file.end()  # before printing, as standard error may be gone with the terminal
        summary = f"answered {counted(events.lines, 'line')}, {events.errors} of them with an error"
        if stop.number or events.reader_left:
            summary = f"{stop.number.name if stop.number else 'the reader of the answers left'}: {summary}"
        _say(f"{summary}; {state_file.contents()} are in {state_file.path}" if state_file else summary)
    if stop.number == signal.SIGINT:
        raise KeyboardInterrupt
    if events.reader_left and stop.number is None:
        raise typer.Exit(EXIT_READER_LEFT)


def _descriptor(file: TextIO | None, name: str) -> int:
    if file is None:
        raise UserError(f"standard {name} is closed: a stream needs it")
    return file.fileno()


def _tell_of_refit(run: Path) -> None:
    """Name the network of a run that was trained on more interactions."""
    if (folder := toolkit.refitted(run)) is not None:
        _say(f"{folder} was trained on the validation interactions too: that is the network to serve")


def _say(line: str) -> None:
    with suppress(OSError):
        print(f"easrec: {line}", file=sys.stderr, flush=True)
