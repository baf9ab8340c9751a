"""Command line ``easrec``: registry of its commands, exit codes, one-line errors."""

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
        "Search on MovieLens-100K under NNI, and judge whether a smaller network keeps the accuracy.",
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
        "Start an NNI experiment after checking it; its server stays closed to other machines.",
    ),
    "resume": (
        "easrec_nni.cli.resume:resume_command",
        "Resume an NNI experiment that was stopped or whose manager was killed.",
    ),
    "search": (
        "easrec_nni.cli.search:search_command",
        "Search for an architecture and retrain it: the trial that NNI runs, without its server.",
    ),
    "nas": (
        "easrec_nni.cli.nas:nas_command",
        "Multi-trial search with NNI's NasExperiment: each architecture is trained as a trial.",
    ),
    "export": (
        "easrec_nni.cli.export:export_command",
        "Export an experiment's architecture as JSON, or a retrained network as ONNX.",
    ),
    "retrain": (
        "easrec_nni.cli.retrain:retrain_command",
        "Train an architecture's network with early stopping and evaluate it on the test set.",
    ),
    "evaluate": (
        "easrec_nni.cli.evaluate:evaluate_command",
        "Evaluate saved weights on the validation or test set, at any cut-offs.",
    ),
    "recommend": (
        "easrec_nni.cli.recommend:recommend_command",
        "Recommend the next items after a history, or after each event of a stream.",
    ),
    "show": (
        "easrec_nni.cli.show:show_command",
        "Draw an architecture, with its cost relative to the unpruned network.",
    ),
    "systems": (
        "easrec_nni.cli.systems:systems_command",
        "List every system that `easrec reproduce` can run, with its source.",
    ),
    "reproduce": (
        "easrec_nni.cli.reproduce:reproduce_command",
        "Reproduce the paper's tables: each cell (system and seed) is a trial of an NNI experiment.",
    ),
    "report": (
        "easrec_nni.cli.report:report_command",
        "Write a report of studies or experiments: HTML, Markdown, CSV tables and plots.",
    ),
    "bench": (
        "easrec_nni.cli.bench:bench_command",
        "Measure preparation, search, training, evaluation and inference times, and how they scale.",
    ),
}
"""Function of each command as ``module:function``, and its help line, the first of the function's docstring.

A new command is one file in this folder and one entry here. Its module is imported when the command is used, so that
`easrec --help` imports none of them.
"""


class LazyGroup(TyperGroup):
    """Command group that imports each of :data:`COMMANDS` on first use."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = cast(Any, dict.fromkeys(COMMANDS))  # typer only reads the names, to suggest a similar one

    def list_commands(self, ctx: Any) -> list[str]:
        """List names in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None for an unknown name."""
        return build_command(cmd_name, command_function(cmd_name)) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and help lines without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def command_function(name: str) -> Callable[..., None]:
    """Import the function of a command."""
    module, _, function = COMMANDS[name][0].partition(":")
    return cast(Callable[..., None], getattr(import_module(module), function))


def build_command(name: str | None, command: Callable[..., None]) -> Any:
    """Build a typer command from a function, with one-line errors."""
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    single.command(name)(reporting_errors(command))
    return typer.main.get_command(single)


def reporting_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that user errors print one line on stderr instead of a traceback.

    Parameters
    ----------
    command : callable
        Command to wrap; exceptions other than UserError propagate.

    Returns
    -------
    callable
        Command that exits with 2 on a UserError and with 130 when interrupted.
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
    """Build the application with all commands."""
    application = typer.Typer(
        name="easrec",
        help="Neural architecture search for efficient sequential recommenders.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        # Rich's panels truncate long option names in 80 columns.
        rich_markup_mode=None,
        cls=LazyGroup,
    )
    application.callback()(_root)
    return application


def _print_version(requested: bool) -> None:
    if not requested:
        return
    try:
        print(f"easrec-nni {version('easrec-nni')}")
    except PackageNotFoundError:
        print("easrec-nni, version unknown: the package is not installed")
    raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Neural architecture search for efficient sequential recommenders."""


app = build_app()


def run() -> None:
    """Entry point of the console script ``easrec``.

    Exit codes are 0 on success, 2 for mistakes in options or input, and 130 when interrupted.
    """
    try:
        app()
    except KeyboardInterrupt:
        print("easrec: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def run_command(program: str, command: Callable[..., None]) -> None:
    """Run one command as a standalone program.

    Parameters
    ----------
    program : str
        Program name shown in the help.
    command : callable
        Command to run.
    """
    build_command(None, command)(prog_name=program)


if __name__ == "__main__":
    run()
