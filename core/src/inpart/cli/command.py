"""What all commands share: their common options, and the session that an operation is given."""

from __future__ import annotations

import inspect
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, Literal, ParamSpec, get_type_hints

import typer

from inpart import config, plugins
from inpart.cli import interrupts, output, progress
from inpart.errors import Interrupted, UsageError
from inpart.operations.session import Session
from inpart.partitions import parse_address

P = ParamSpec("P")

FILESYSTEMS = (plugins.Kind.FILESYSTEM,)
"""For commands that look at nothing else: the other plugins need not be loaded."""

Device = Annotated[
    str,
    typer.Argument(
        metavar="DEVICE",
        help="Block device or image file; disk.img#2 is its partition 2, disk.img@1048576 the one at that byte.",
        show_default=False,
    ),
]
Image = Annotated[
    str | None,
    typer.Argument(
        metavar="IMAGE",
        help="Its name, the beginning of its id, 'latest' or 'factory'; else the newest intact one, user images first.",
        show_default=False,
    ),
]


@dataclass
class Run:
    """One run of a command: its common options, the device that it works on, and the ways to talk back."""

    json: bool = False
    progress: str = "auto"
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    config_file: Path | None = None
    filesystem: str | None = None
    aid: list[str] | None = None
    device: str | None = None
    dry_run: bool = False
    yes: bool = False
    warned: set[str] = field(default_factory=set)

    def configuration(self, options: Mapping[str, object] | None = None) -> config.Configuration:
        """The settings in force, ``options`` of the command line included."""
        return config.load(file=self.config_file, options=options, device=self.device)

    def session(
        self,
        options: Mapping[str, object] | None = None,
        *,
        writes_to: str | None = None,
        kinds: Collection[plugins.Kind] = tuple(plugins.Kind),
    ) -> Session:
        """What an operation is given; ``writes_to`` is the address that it will change, which may need a confirmation.

        Only providers of ``kinds`` are loaded. Raises UsageError for a wrong configuration.
        """
        configuration = self.configuration(options)
        session = Session(
            plugins=plugins.load(configuration.disabled_plugins, kinds),
            policy=configuration.policy,
            progress=progress.choose(self.progress, quiet=self.quiet, verbose=self.verbose),
            confirm=lambda question: writes_to is None or not _is_block_device(writes_to) or self.confirm(question),
            warn=self.warn,
            filesystem=self.filesystem,
            aids=tuple(self.aid or ()),
        )
        interrupts.unwind()
        return session

    def confirm(self, question: str) -> bool:
        """Ask on the terminal; ``--yes`` answers beforehand. Raises UsageError if there is nobody to ask."""
        if self.yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"{question} There is no terminal to ask on", hint="say --yes if that is what you want")
        sys.stderr.write(f"{output.printable(question)} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def warn(self, message: str) -> None:
        """Pass a warning on, unless ``--quiet``; the same one is not repeated."""
        if not self.quiet and message not in self.warned:
            self.warned.add(message)
            output.warn(message)

    def show(self, value: object, text: Iterable[str]) -> None:
        """Print the result: ``value`` as JSON with ``--json``, else the lines of ``text``."""
        if self.json:
            output.json_object(value)
        else:
            output.lines(text)


def _parameter(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


_SHARED = (
    _parameter("json", Annotated[bool, typer.Option("--json", help="Print one JSON object.")], False),
    _parameter(
        "progress",
        Annotated[
            Literal["auto", "json", "none"],
            typer.Option("--progress", help="auto is a bar on a terminal; json is JSON Lines on standard error."),
        ],
        "auto",
    ),
    _parameter("quiet", Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no warnings.")], False),
    _parameter("verbose", Annotated[bool, typer.Option("--verbose", "-v", help="Say what took how long.")], False),
    _parameter("debug", Annotated[bool, typer.Option("--debug", help="Show where a bug happened.")], False),
    _parameter(
        "config_file",
        Annotated[
            Path | None,
            typer.Option("--config", metavar="FILE", help="Settings; else /etc/inpart.toml.", readable=False),
        ],
        None,
    ),
    _parameter(
        "filesystem",
        Annotated[
            str | None,
            typer.Option("--filesystem", metavar="KIND", help="Read as this file system where several or none fit."),
        ],
        None,
    ),
    _parameter(
        "aid",
        Annotated[
            list[str] | None,
            typer.Option("--aid", metavar="KIND:TARGET", help="Look for images where this recovery aid says, first."),
        ],
        None,
    ),
)

_WRITING = (
    _parameter("dry_run", Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done.")], False),
    _parameter("yes", Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before writing.")], False),
)


def command(*, writes: bool = False) -> Callable[[Callable[Concatenate[Run, P], None]], Callable[..., None]]:
    """Give a command function, whose first parameter is its ``Run``, the options that all commands share.

    ``writes`` adds ``--dry-run`` and ``--yes``.
    """
    shared = _SHARED + _WRITING if writes else _SHARED

    def decorate(function: Callable[Concatenate[Run, P], None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [p.replace(annotation=hints[p.name]) for p in list(inspect.signature(function).parameters.values())[1:]]

        @wraps(function)
        def wrapper(**values: Any) -> None:
            run = Run(
                **{parameter.name: values.pop(parameter.name) for parameter in shared}, device=values.get("device")
            )
            try:
                function(run, **values)  # type: ignore[call-arg]
            except KeyboardInterrupt:
                raise Interrupted("interrupted") from None

        merged = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + list(shared)
        wrapper.__signature__ = inspect.Signature(merged)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in merged}
        return wrapper

    return decorate


def _is_block_device(address: str) -> bool:
    """True if the file of the address is a block device; partitions of image files are written without a question."""
    try:
        return stat.S_ISBLK(parse_address(address).path.stat().st_mode)
    except OSError:
        return False
