"""Progress of long work: a bar on a terminal, JSON Lines on request, a line per phase with -v, else nothing."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inpart.operations.session import Progress, QuietProgress
from inpart.units import format_size

INTERVAL = 0.25
"""Seconds between two JSON lines of one phase."""


def choose(kind: str, *, quiet: bool, verbose: bool) -> Progress:
    """The progress for ``--progress auto``, ``json`` or ``none``; ``auto`` is a bar if standard error is a terminal."""
    if kind == "json":
        return Lines(_json_line)
    if kind == "none" or quiet:
        return QuietProgress()
    if sys.stderr.isatty():
        from inpart.cli.bar import BarProgress  # noqa: PLC0415 - most commands are done before rich is loaded

        return BarProgress()
    return Lines(_text_line) if verbose else QuietProgress()


class Phase:
    """One piece of work that is being measured; advanced from any thread."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name = name
        self.total = total
        self.done = 0
        self.started = time.monotonic()
        self.finished = False

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self.started

    @property
    def rate(self) -> int:
        """Bytes per second since the start."""
        return int(self.done / max(self.seconds, 1e-6))

    @property
    def remaining(self) -> float | None:
        """Seconds to go at the present rate, None if nobody knows."""
        if self.total is None or self.rate == 0:
            return None
        return max(self.total - self.done, 0) / self.rate


class Lines:
    """Progress as lines on standard error, at most one each ``INTERVAL`` and one at the end of a phase."""

    def __init__(self, line: Callable[[Phase], str | None]) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._next = 0.0

    @contextmanager
    def phase(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Measure one piece of work."""
        phase = Phase(name, total)

        def advance(count: int) -> None:
            with self._lock:
                phase.done += count
                if time.monotonic() >= self._next:
                    self._write(phase)

        yield advance
        with self._lock:
            phase.finished = True
            self._write(phase)

    def _write(self, phase: Phase) -> None:
        self._next = time.monotonic() + INTERVAL
        line = self._line(phase)
        if line is None:
            return
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except OSError:
            self._line = _silence  # work on a disk goes on when nobody listens any more


def _silence(_: Phase) -> None:
    return None


def _json_line(phase: Phase) -> str:
    remaining = phase.remaining
    return json.dumps(
        {
            "type": "progress",
            "phase": phase.name,
            "done": phase.done,
            "total": phase.total,
            "finished": phase.finished,
            "seconds": round(phase.seconds, 3),
            "rate": phase.rate,
            "remaining": None if remaining is None else round(remaining, 3),
        }
    )


def _text_line(phase: Phase) -> str | None:
    if not phase.finished:
        return None
    return f"inpart: {phase.name}: {format_size(phase.done)} in {phase.seconds:.1f} s, {format_size(phase.rate)}/s"
