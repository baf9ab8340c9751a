"""The command ``easrec``: the list of its commands, and how their errors end."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import typer

from easrec_nni.cli.bench import bench_command
from easrec_nni.cli.demo import demo_command
from easrec_nni.cli.evaluate import evaluate_command
from easrec_nni.cli.export import export_command
from easrec_nni.cli.init import init_command
from easrec_nni.cli.launch import launch_command
from easrec_nni.cli.nas import nas_command
from easrec_nni.cli.prepare import prepare_command
from easrec_nni.cli.recommend import recommend_command
from easrec_nni.cli.report import report_command
from easrec_nni.cli.reproduce import reproduce_command
from easrec_nni.cli.resume import resume_command
from easrec_nni.cli.retrain import retrain_command
from easrec_nni.cli.search import search_command
from easrec_nni.cli.show import show_command
from easrec_nni.cli.systems import systems_command
from easrec_nni.common.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

COMMANDS: tuple[tuple[str, Callable[..., None]], ...] = (
    ("demo", demo_command),
    ("init", init_command),
    ("prepare", prepare_command),
    ("launch", launch_command),
    ("resume", resume_command),
    ("search", search_command),
    ("nas", nas_command),
    ("export", export_command),
    ("retrain", retrain_command),
    ("evaluate", evaluate_command),
    ("recommend", recommend_command),
    ("show", show_command),
    ("systems", systems_command),
    ("reproduce", reproduce_command),
    ("report", report_command),
    ("bench", bench_command),
)
"""Name and function of every command. A new command is one file in this folder and one line here."""


def reporting_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that a mistake of the user ends in one line on stderr instead of a traceback.

    Parameters
    ----------
    command : callable
        A command; what it may raise besides UserError is left alone.

    Returns
    -------
    callable
        The same command with exit code 2 for a UserError, and 130 when it is interrupted.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UserError as error:
            print(f"easrec: error: {error.message}", file=sys.stderr)
            raise typer.Exit(EXIT_USER_ERROR) from error
        except KeyboardInterrupt as error:
            print("easrec: interrupted", file=sys.stderr)
            raise typer.Exit(EXIT_INTERRUPTED) from error

    return wrapped


def build_app() -> typer.Typer:
    """Make the application with all commands."""
    made = typer.Typer(
        name="easrec",
        help="Neural architecture search for efficient sequential recommenders.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        # Plain help: the panels of rich cut the longer options' names off in 80 columns.
        rich_markup_mode=None,
    )
    # With a callback, a single command still has to be named: 'easrec prepare ...'.
    made.callback()(_root)
    for name, command in COMMANDS:
        made.command(name)(reporting_errors(command))
    return made


def _root() -> None:
    """Neural architecture search for efficient sequential recommenders."""


app = build_app()


def run() -> None:
    """Run the command line; this is the console script ``easrec``.

    Exit codes are 0 on success, 2 for mistakes in options or input, and 130 when interrupted.
    """
    try:
        app()
    except KeyboardInterrupt:
        print("easrec: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def run_command(program: str, command: Callable[..., None]) -> None:
    """Run one command as a program of its own.

    Parameters
    ----------
    program : str
        Its name in the help.
    command : callable
        The command.
    """
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    single.command()(reporting_errors(command))
    single(prog_name=program)


if __name__ == "__main__":
    run()
