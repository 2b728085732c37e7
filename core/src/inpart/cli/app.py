"""The typer application, made of the one command that is asked for, and what every error becomes."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module

import typer

from inpart import __version__
from inpart.cli import output
from inpart.errors import ExitCode, InpartError, Interrupted, UsageError

COMMANDS = {
    "probe": "probe",
    "map": "map",
    "estimate": "estimate",
    "create": "create",
    "list": "list",
    "show": "show",
    "locate": "locate",
    "verify": "verify",
    "restore": "restore",
    "ls": "ls",
    "cat": "cat",
    "extract": "extract",
    "export": "export",
    "import": "import_",
    "delete": "delete",
    "resume": "resume",
    "repair": "repair",
    "aid": "aid",
    "demo": "demo",
    "plugins": "plugins",
    "config": "config",
}
"""Each command and its module in inpart.cli.commands, in the order of the help."""

_UsageProblem: type = typer.BadParameter.__mro__[1]
"""The class of everything that typer finds wrong with a command line; typer gives it no public name."""


def build(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """An application that knows the commands ``names``; only their modules are imported."""
    app = typer.Typer(
        name="inpart",
        help="Keeps an image of a partition inside that same partition and brings it back from there.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in names:
        module = import_module(f"inpart.cli.commands.{COMMANDS[name]}")
        if hasattr(module, "group"):
            app.add_typer(module.group, name=name)
        else:
            app.command(name)(module.command)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return the exit code; no exception leaves it."""
    output.prepare()
    options = set(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    errors = output.ErrorReport(json="--json" in options)
    try:
        return _run(arguments or ["--help"])
    except BrokenPipeError:
        _leave_quietly()
        return ExitCode.FAILED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last barrier: a sentence, never a traceback
        if isinstance(error, OSError):
            _flush_or_leave()
        foreseen = _foreseen(error)
        if foreseen is not None:
            return errors.report(foreseen)
        if "--debug" in options or os.environ.get("INPART_DEBUG"):
            traceback.print_exc()
        return errors.bug(error)


def _foreseen(error: BaseException) -> InpartError | None:
    """What to tell the user about an error; None for one that is a bug.

    A KeyboardInterrupt inside of a class statement is raised by Python 3.11 as the cause of a RuntimeError.
    """
    if isinstance(error.__cause__, KeyboardInterrupt):
        return Interrupted("interrupted")
    match error:
        case InpartError():
            return error
        case KeyboardInterrupt() | typer.Abort():
            return Interrupted("interrupted")
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            hint = "look at the permissions of the folders on the way" if isinstance(error, PermissionError) else None
            return InpartError(f"{place}{error.strerror or error}", hint=hint)
    return _as_usage_error(error) if isinstance(error, _UsageProblem) else None


def _run(arguments: Sequence[str]) -> int:
    wanted = next((word for word in arguments if not word.startswith("-")), "")
    app = build([wanted] if wanted in COMMANDS else COMMANDS)
    code = typer.main.get_command(app).main(list(arguments), prog_name="inpart", standalone_mode=False)
    if code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    sys.stdout.flush()
    return int(code or 0)


def _options(*, version: bool = typer.Option(False, "--version", help="Show the version and leave.")) -> None:
    """What comes before the command."""
    if version:
        sys.stdout.write(f"inpart {__version__}\n")
        raise typer.Exit


def _as_usage_error(error: BaseException) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "inpart"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    return UsageError(message.rstrip("."), hint=f"`{path} --help` shows what it takes")


def _flush_or_leave() -> None:
    """What cannot be written to standard output is given up: its end would fail a second time when Python leaves."""
    try:
        sys.stdout.flush()
    except OSError:
        _leave_quietly()


def _leave_quietly() -> None:
    """Nobody reads standard output any more: keep the interpreter from complaining when it flushes at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
