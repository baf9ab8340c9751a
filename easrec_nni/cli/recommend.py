"""``easrec recommend``: items for a history, or for a stream of events."""

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

EXIT_READER_LEFT = 141  # as of a process that SIGPIPE ends


def recommend_command(
    run: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `easrec retrain` wrote.")],
    history: Annotated[
        str | None,
        typer.Option(
            metavar="ITEM,…|JSON",
            help="Items that a user had, oldest first, as in the source; or a JSON list of texts and whole numbers.",
        ),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Read events from stdin, one JSON object a line, and answer each.")
    ] = False,
    k: Annotated[int, typer.Option("--k", help="Items to recommend.", min=1)] = 10,
    unseen: Annotated[bool, typer.Option("--unseen", help="Leave out what the user had.")] = False,
    data: Annotated[str | None, typer.Option("--data", help="Prepared dataset, by default the run's.")] = None,
    numbers: Annotated[bool, typer.Option("--numbers", help="Items are item numbers; no dataset is needed.")] = False,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="With --stream: users' states, read and written.")
    ] = None,
    save_events: Annotated[
        int, typer.Option(metavar="N", help="With --state: save states after so many events.", min=1)
    ] = 10_000,
    save_seconds: Annotated[
        int, typer.Option(metavar="S", help="With --state: or when one is so many seconds old.", min=0, max=86_400)
    ] = 60,
    threads: Annotated[int, typer.Option(help="Threads.", min=1)] = 1,
) -> None:
    """Recommend the next items after a history, or after each event of a stream.

    Ids with commas, blanks at an end, or a bracket in front are given as JSON. Items are printed as they are; one with
    control characters as a JSON text.

    A stream keeps a state of constant size for each user, and takes the same time for every event. It needs a network
    that was trained for it (settings/streaming.yml of `easrec init`). A line of its input has a user and an item, or a
    user alone; ids are texts or whole numbers, 7 and "7" are the same. A line that cannot be taken is answered with
    {"error": ...}, and counted; the stream goes on.

    States are saved while the stream runs and when it ends, whatever ends it: the end of the input, a signal, or a
    reader that closes the answers. After SIGKILL, --save-events events are missing at most, and the next start says so.
    One process at a time takes events with a file of states (FILE.lock beside it is its lock).

    Exit code 0: the input ended, or SIGTERM or SIGHUP came; 130: SIGINT; 141: the reader of the answers closed them;
    2: a mistake, or states or answers that cannot be written.

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
    # An event's products are too small to be shared out; NumPy reads this when it is imported, which is now.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
    warnings.filterwarnings("ignore", module="nni.*")  # NNI's, of which a user can do nothing about

    toolkit.use_threads(threads)
    if history is not None:
        items, scores = _one_shot(run, _items(history), k, unseen, data, numbers)
        for item, score in zip(items, scores, strict=True):
            print(f"{_shown(item)}\t{score:.4f}")
        return
    _stream(run, k, unseen, data, numbers, state, save_events, save_seconds)


def _items(history: str) -> list[str]:
    """Ids of a history: a JSON list, or texts between commas."""
    if not history.lstrip().startswith("["):
        return [item.strip() for item in history.split(",") if item.strip()]
    advice = """a history that begins with [ is a JSON list of texts and whole numbers, such as '["a,b", "007", 258]'"""
    try:
        items = json.loads(history)
    except (ValueError, RecursionError):
        raise UserError(advice) from None
    if any(not isinstance(item, str | int) or isinstance(item, bool) for item in items):
        raise UserError(advice)
    return [str(item) for item in items]


def _shown(item: str) -> str:
    """An id that stays in its row and does nothing to the terminal."""
    return json.dumps(item) if any(unicodedata.category(each) in ("Cc", "Cs") for each in item) else item


def _one_shot(
    run: Path, items: list[str], k: int, unseen: bool, data: str | None, numbers: bool
) -> tuple[list[str], list[float]]:
    network, dataset = toolkit.open_run(run, data, needs_dataset=not numbers)
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
    kept = None if state is None else toolkit.KeptStates(state, save_events, save_seconds, _say)
    with kept or nullcontext():
        settings = kept.settings() if kept else {}
        if unseen and not settings.get("keep_seen", True):
            raise UserError(
                f"{state} was begun without --unseen and does not know what users had: leave --unseen out, or begin "
                "with another file"
            )
        recommender = toolkit.StreamingRecommender.load(run, data, numbers=numbers, **{"keep_seen": unseen, **settings})
        with StopSignals() as stop:
            if kept:
                kept.begin(recommender)
            events = toolkit.EventStream(recommender, kept, stop, k, unseen)
            try:
                events.run(source, sink)
            finally:
                if kept:
                    kept.end()  # before anything is said: standard error may be gone with the terminal
        said = f"answered {counted(events.lines, 'line')}, {events.errors} of them with an error"
        if stop.number or events.reader_left:
            said = f"{stop.number.name if stop.number else 'the reader of the answers left'}: {said}"
        _say(f"{said}; {kept.contents()} are in {kept.path}" if kept else said)
    if stop.number == signal.SIGINT:
        raise KeyboardInterrupt
    if events.reader_left and stop.number is None:
        raise typer.Exit(EXIT_READER_LEFT)


def _descriptor(file: TextIO | None, name: str) -> int:
    if file is None:
        raise UserError(f"standard {name} is closed: a stream needs it")
    return file.fileno()


def _say(line: str) -> None:
    with suppress(OSError):
        print(f"easrec: {line}", file=sys.stderr, flush=True)
