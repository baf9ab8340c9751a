"""Command line ``easrec``: registry of its commands, exit codes, one-line errors."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, cast

import typer
import typer.main
from typer.core import TyperGroup

from easrec_nni.common.errors import UserError
from easrec_nni.common.signals import signals_interrupt

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

SYSTEM_REFUSALS = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Errors of the system about a file that a user can mend: no right, no room, a file where a folder should be."""

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
    "pareto": (
        "easrec_nni.cli.pareto:pareto_command",
        "List and draw the architectures of a supernet that no other beats in accuracy and cost.",
    ),
    "pick": (
        "easrec_nni.cli.pick:pick_command",
        "Take one architecture of an elastic supernet by its cost or accuracy, and fine-tune only that one.",
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
    "table build": (
        "easrec_nni.cli.table_build:table_build_command",
        "Train every architecture of a space from scratch, with several seeds.",
    ),
    "profile": (
        "easrec_nni.cli.profile:profile_command",
        "Measure what each layer of a space costs on this machine, in milliseconds per user.",
    ),
    "table collect": (
        "easrec_nni.cli.table_collect:table_collect_command",
        "Write the table of the complete runs of builds and tables.",
    ),
    "table query": (
        "easrec_nni.cli.table_query:table_query_command",
        "Print figures and costs of a table's architectures, best first.",
    ),
    "table study": (
        "easrec_nni.cli.table_study:table_study_command",
        "Study multi-trial strategies on a table: regret over trials, without training.",
    ),
    "table regret": (
        "easrec_nni.cli.table_regret:table_regret_command",
        "Measure the regret of exported architectures: their distance to the table's front.",
    ),
}
"""Function of each command as ``module:function``, and its help line, the first of the function's docstring.

A new command is one file in this folder and one entry here. A name of two words belongs to a group, which is named in
:data:`GROUPS`. Its module is imported when the command is used, so that `easrec --help` imports none of them.
"""

GROUPS: dict[str, str] = {
    "table": "Train every architecture of a space, and study search strategies on the table of their figures.",
}
"""Help line of each group of commands."""


class LazyGroup(TyperGroup):
    """Command group that imports each of :data:`COMMANDS` on first use.

    Parameters
    ----------
    prefix
        First word of the group's commands, with a space; empty for the application itself.
    options
        Options of typer's group.
    """

    def __init__(self, *, prefix: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.prefix = prefix
        self.help_lines = self._help_lines()
        self.commands = cast(Any, dict.fromkeys(self.help_lines))  # typer only reads the names, to suggest similar ones

    def _help_lines(self) -> dict[str, str]:
        lines = {}
        for name, (_, line) in COMMANDS.items():
            if name.startswith(self.prefix):
                word, _, rest = name.removeprefix(self.prefix).partition(" ")
                lines[word] = GROUPS[word] if rest else line
        return lines

    def list_commands(self, ctx: Any) -> list[str]:
        """List names in the order of :data:`COMMANDS`."""
        return list(self.help_lines)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command, or make a group; None for an unknown name."""
        if cmd_name not in self.help_lines:
            return None
        name = self.prefix + cmd_name
        if name in COMMANDS:
            return build_command(cmd_name, command_function(name))
        return LazyGroup(
            prefix=f"{name} ", name=cmd_name, help=GROUPS[cmd_name], no_args_is_help=True, rich_markup_mode=None
        )

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and help lines without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.help_lines.items()))


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
    """Wrap a command so that user errors and termination signals print one line instead of a traceback.

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
            with signals_interrupt():
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
    _run(app)


def run_command(program: str, command: Callable[..., None]) -> None:
    """Run one command as a standalone program.

    Parameters
    ----------
    program : str
        Program name shown in the help.
    command : callable
        Command to run.
    """
    _run(lambda: build_command(None, command)(prog_name=program))


def _run(program: Callable[[], Any]) -> None:
    """Run a program whose output may be refused: by an encoding that lacks characters, or by the system."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            program()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("easrec: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        if error.errno not in SYSTEM_REFUSALS:
            raise
        reason = error.strerror or str(error)
        if error.filename is None:
            print(f"easrec: error: cannot write ({reason}): make room, or write elsewhere", file=sys.stderr)
            _drop_output()
        else:
            print(f"easrec: error: cannot use {error.filename} ({reason}): choose another path", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


def _drop_output() -> None:
    """Drop what is left to write to a stdout that is full: the interpreter would write it, and fail, at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
