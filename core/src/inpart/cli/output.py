"""Standard output and standard error: JSON objects, aligned tables, warnings and errors."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from inpart.errors import ExitCode, InpartError
from inpart.extents import Extents
from inpart.units import format_size


def prepare() -> None:
    """Names on a disk may hold bytes that no terminal can show: they are printed as escapes, not as an error.

    A standard stream that is closed leads nowhere from now on: the next file opened, a disk perhaps, would be it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open until the process ends
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """``text`` with control characters as escapes: a file name must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def lines(text: Iterable[str]) -> None:
    """Print lines on standard output."""
    for line in text:
        sys.stdout.write(f"{line}\n")


def table(rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> Iterable[str]:
    """Rows as lines with aligned columns; ``right`` numbers the columns that are set flush right."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(aligned).rstrip()


def size(value: int) -> str:
    """A size for people, with the exact bytes where they differ."""
    return format_size(value) if value < 1024 else f"{format_size(value)} ({value} bytes)"


def json_object(value: Any) -> None:
    """Print one JSON object on standard output: JSON is UTF-8, so all but ASCII is escaped where that is not."""
    is_utf8 = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=not is_utf8, indent=2) + "\n")


def plain(value: Any) -> Any:
    """``value`` in what JSON knows: records as objects, extents as [start, length], bytes in hexadecimal digits."""
    match value:
        case Enum():
            result: Any = value.value
        case datetime():
            result = value.isoformat()
        case bytes():
            result = value.hex()
        case Mapping():
            result = {str(key): plain(item) for key, item in value.items()}
        case Extents():
            result = [[start, end - start] for start, end in value]
        case list() | tuple() | set() | frozenset():
            result = [plain(item) for item in value]
        case None | str() | int() | float():
            result = value
        case _:
            result = _plain_object(value)
    return result


def _plain_object(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return plain({field.name: getattr(value, field.name) for field in fields(value)})
    return plain(value.model_dump()) if hasattr(value, "model_dump") else str(value)


def warn(message: str) -> None:
    """A warning on standard error."""
    sys.stderr.write(f"inpart: warning: {printable(message)}\n")


class ErrorReport:
    """Turns an error into lines on standard error, with ``--json`` also into an object on standard output."""

    def __init__(self, *, json: bool) -> None:
        self._json = json

    def report(self, error: InpartError) -> int:
        """Show an error that was foreseen; returns its exit code."""
        self._say(error.message, error.hint)
        self._show(type(error).__name__, error.exit_code, error.message, error.hint)
        return error.exit_code

    def bug(self, error: BaseException) -> int:
        """Show an error that nobody foresaw; returns its exit code."""
        message = f"this is a bug in inpart or in a plugin: {type(error).__name__}: {error}"
        hint = "please report it with what the same command prints with --debug"
        self._say(message, hint)
        self._show("Bug", ExitCode.FAILED, message, hint)
        return ExitCode.FAILED

    def _say(self, message: str, hint: str | None) -> None:
        sys.stdout.flush()
        first, *more = message.splitlines() or [""]
        sys.stderr.writelines([f"inpart: {printable(first)}\n", *(f"{printable(line)}\n" for line in more)])
        if hint:
            sys.stderr.write(f"inpart: hint: {printable(hint)}\n")

    def _show(self, kind: str, code: int, message: str, hint: str | None) -> None:
        if self._json:
            json_object({"error": {"kind": kind, "exit_code": int(code), "message": message, "hint": hint}})
            sys.stdout.flush()
