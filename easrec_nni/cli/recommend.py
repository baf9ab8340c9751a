"""``easrec recommend``: items for a history, or for a stream of events."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from easrec_nni.errors import UserError

if TYPE_CHECKING:
    from easrec_nni.serving import Recommendations, StreamingRecommender


def recommend_command(
    run: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `easrec retrain` wrote.")],
    history: Annotated[
        str | None, typer.Option(metavar="ITEM,…", help="Items that a user had, oldest first, as in the source.")
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
    threads: Annotated[int, typer.Option(help="Threads.", min=1)] = 1,
) -> None:
    """Recommend the next items after a history, or after each event of a stream.

    A stream keeps a state of constant size for each user, and takes the same time for every event. It needs a network
    that was trained for it (settings/streaming.yml of `easrec init`). A line of its input has a user and an item, or a
    user alone; a line that cannot be taken is answered with {"error": ...}. States are written at the end of the input.

    \b
    Examples:
      easrec recommend retrained --history 50,181,258
      easrec recommend retrained --history 50,181,258 --k 5 --unseen
      echo '{"user": "ann", "item": "50"}' | easrec recommend retrained --stream --state users.safetensors
    """  # noqa: D301 (the command line's formatter asks for this character)
    if (history is None) == (not stream):
        raise UserError("give either --history ITEM,… or --stream")
    if state is not None and not stream:
        raise UserError("--state belongs to --stream")
    # An event's products are too small to be shared out; NumPy reads this when it is imported, which is now.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
    warnings.filterwarnings("ignore", module="nni.*")  # NNI's, of which a user can do nothing about
    from easrec_nni.training import use_threads

    use_threads(threads)
    if history is not None:
        items, scores = _one_shot(run, history, k, unseen, data, numbers)
        for item, score in zip(items, scores, strict=True):
            print(f"{item}\t{score:.4f}")
        return
    from easrec_nni.serving import StreamingRecommender

    recommender = StreamingRecommender.load(run, data, numbers=numbers, keep_seen=unseen)
    if state is not None and state.exists():
        recommender.load_state(state)
    try:
        answer_lines(recommender, sys.stdin, k, unseen)
    finally:
        if state is not None:
            recommender.save(state)


def _one_shot(
    run: Path, history: str, k: int, unseen: bool, data: str | None, numbers: bool
) -> tuple[list[str], list[float]]:
    from easrec_nni.serving.history import recommend_after
    from easrec_nni.serving.runs import open_run

    network, dataset = open_run(run, data, needs_dataset=not numbers)
    items = [item.strip() for item in history.split(",") if item.strip()]
    return recommend_after(network, items, k, unseen, None if numbers or dataset is None else dataset.item_ids)


def answer_lines(recommender: StreamingRecommender, lines: Iterable[str], k: int, unseen: bool) -> None:
    """Answer each line of input with a line of output.

    Parameters
    ----------
    recommender
        That takes the events.
    lines
        JSON objects with ``user`` and, where something happened, ``item``; ``k`` may differ from line to line.
    k
        Items to recommend.
    unseen
        Whether to leave out what a user had.
    """
    for line in lines:
        if not line.strip():
            continue
        try:
            answer = _answer(recommender, json.loads(line), k, unseen)
        except UserError as error:
            answer = {"error": error.message}
        except (ValueError, RecursionError) as error:
            answer = {"error": f"this is no JSON object: {error}"}
        print(json.dumps(answer), flush=True)


def _answer(recommender: StreamingRecommender, event: Any, k: int, unseen: bool) -> dict[str, Any]:
    known = {"user", "item", "k"}
    if not isinstance(event, dict) or "user" not in event or not event.keys() <= known:
        raise UserError('a line is an object such as {"user": "ann", "item": "50"}, with "k" if it is another')
    user, item, count = event["user"], event.get("item"), event.get("k", k)
    for value in (user, item if "item" in event else ""):
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise UserError("user and item are texts or whole numbers")
    if not isinstance(count, int) or isinstance(count, bool):
        raise UserError("k is a whole number")
    best: Recommendations
    if "item" in event:
        best = recommender.update_and_recommend([user], [item], count, unseen)
    else:
        best = recommender.recommend([user], count, unseen)
    there = best.scores[0] > -float("inf")
    return {
        "user": user,
        "items": best.items[0][there].tolist(),
        "scores": [round(score, 6) for score in best.scores[0][there].tolist()],
    }
