"""The command ``easrec``: the list of its commands, and how their errors end."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, cast

import typer
import typer.main
from typer.core import TyperGroup

from easrec_nni.common.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (
        "easrec_nni.cli.demo:demo_command",
        "Prepare, search under NNI, export, retrain and compare on MovieLens-100K.",
    ),
    "init": (
        "easrec_nni.cli.init:init_command",
        "Write the example experiments and their settings into a folder.",
    ),
    "prepare": (
        "easrec_nni.cli.prepare:prepare_command",
        "Prepare a dataset: read it, filter it, split it and draw its negatives.",
    ),
    "launch": (
        "easrec_nni.cli.launch:launch_command",
        "Start an NNI experiment: nnictl create, with a look at everything first and its server closed to other "
        "machines.",
    ),
    "resume": (
        "easrec_nni.cli.resume:resume_command",
        "Go on with an experiment: nnictl resume, closed to other machines, also after its manager was killed.",
    ),
    "search": (
        "easrec_nni.cli.search:search_command",
        "Search, freeze and retrain: the same trial that NNI runs, without its server.",
    ),
    "nas": (
        "easrec_nni.cli.nas:nas_command",
        "Multi-trial search with NNI's NasExperiment: each architecture that is drawn is a trial, trained by itself.",
    ),
    "export": (
        "easrec_nni.cli.export:export_command",
        "Write the architecture of an experiment's trial, running, stopped or finished; or a network as an ONNX file.",
    ),
    "retrain": (
        "easrec_nni.cli.retrain:retrain_command",
        "Train the network of an architecture, stop early, evaluate it on the test set.",
    ),
    "evaluate": (
        "easrec_nni.cli.evaluate:evaluate_command",
        "Evaluate saved weights: the same figures as in the run's metrics.json, at other cut-offs if wanted.",
    ),
    "recommend": (
        "easrec_nni.cli.recommend:recommend_command",
        "Recommend the next items after a history, or after each event of a stream.",
    ),
    "show": (
        "easrec_nni.cli.show:show_command",
        "Draw a network with its cost beside that of the unpruned network.",
    ),
    "systems": (
        "easrec_nni.cli.systems:systems_command",
        "List every system that `easrec reproduce` can run, with its source.",
    ),
    "reproduce": (
        "easrec_nni.cli.reproduce:reproduce_command",
        "Run every system of a table under one protocol: each cell (system and seed) is a trial of an NNI experiment.",
    ),
    "report": (
        "easrec_nni.cli.report:report_command",
        "Write report.html, one page that works offline, and report.md, CSV tables and plots beside it.",
    ),
    "bench": (
        "easrec_nni.cli.bench:bench_command",
        "Measure what users wait for: preparing, search, training, evaluation, inference, and how all that grows.",
    ),
}
"""Function of every command as ``module:function``, and its line of help: the first of the function's docstring.

A new command is one file in this folder and one entry here. Its module is imported when the command is used, so that
`easrec --help` waits for none of them.
"""


class LazyGroup(TyperGroup):
    """The commands of :data:`COMMANDS`, each imported when it is used."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = cast(Any, dict.fromkeys(COMMANDS))  # names alone: where typer looks for a similar one

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None if there is none of that name."""
        return build_command(cmd_name, command_function(cmd_name)) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and lines of help without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def command_function(name: str) -> Callable[..., None]:
    """Import the function of a command."""
    module, _, function = COMMANDS[name][0].partition(":")
    return cast(Callable[..., None], getattr(import_module(module), function))


def build_command(name: str | None, command: Callable[..., None]) -> Any:
    """Make a command of a function: its options, its help, its errors in one line."""
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    single.command(name)(reporting_errors(command))
    return typer.main.get_command(single)


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
        cls=LazyGroup,
    )
    made.callback()(_root)
    return made


def _print_version(asked: bool) -> None:
    if not asked:
        return
    try:
        print(f"easrec-nni {version('easrec-nni')}")
    except PackageNotFoundError:
        print("easrec-nni, version unknown: run from files that are not installed")
    raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
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
    build_command(None, command)(prog_name=program)


if __name__ == "__main__":
    run()
