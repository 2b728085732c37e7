"""One reading of a volume for several scans at a time: ahead of them, and once for all."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from inpart.errors import InpartError
from inpart.scan.reading import Progress, Report, read_window, windows_of
from inpart.units import KIB, MIB
from inpart.volume import ProxyVolume, Volume

Windows = Generator[tuple[int, memoryview, list[tuple[int, int]]], None, None]

WINDOW = 4 * MIB
GRID = 128 * KIB
"""Windows begin at multiples of this, so that steps which divide it fit in."""

_BUFFERS = 8
_READERS = 3


def shared_volumes(
    base: Volume, count: int, progress: Progress, unreadable: Report | None = None
) -> list[SharedVolume]:
    """``base`` for so many scans, each in a thread of its own, each to be ended with ``leave``.

    Until it leaves, a scan holds the others up when they are some windows ahead. ``progress`` counts the bytes of the
    shared reading, holes included; what it raises ends all scans. ``unreadable(start, end)`` is told, from any thread,
    what could not be read.
    """
    reading = _Reading(base, count, progress, unreadable)
    return [SharedVolume(base, reading) for _ in range(count)]


class SharedVolume(ProxyVolume):
    """Passes everything on to ``base``; but all that scan all of it backward share one reading."""

    def __init__(self, base: Volume, reading: _Reading) -> None:
        """Made by ``shared_volumes``."""
        super().__init__(base)
        self._reading = reading
        self._party: _Party | None = None

    def windows(self) -> Windows:
        """(offset, bytes, runs that could not be read) from the end on; valid until the next is asked for.

        A second scan reads for itself.
        """
        if self._party is not None:
            return _Reading(self.base, 1, lambda _: None).windows(_Party())
        self._party = _Party()
        return self._reading.windows(self._party)

    def leave(self) -> None:
        """This scan will not take part (any more); to leave twice is harmless."""
        self._party = self._party or _Party()
        self._reading.leave(self._party)


@dataclass
class _Party:
    """One of those who scan: how many windows it has passed, and whether it is done."""

    passed: int = 0
    left: bool = False


@dataclass
class _Window:
    """``left`` parties have still to look at it."""

    low: int
    size: int
    memory: mmap.mmap
    bad: Future[list[tuple[int, int]]]
    left: int


class _Reading:
    """Threads read windows into a ring of buffers; one is used again when all parties have passed it."""

    def __init__(self, volume: Volume, parties: int, progress: Progress, unreadable: Report | None = None) -> None:
        self._volume = volume
        self._unreadable = unreadable
        self._parties = parties
        self._progress = progress
        self._plan = windows_of(volume, 0, volume.size, GRID, WINDOW, True, progress)
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="inpart-read")
        self._free = [mmap.mmap(-1, WINDOW) for _ in range(_BUFFERS)]
        self._windows: dict[int, _Window] = {}
        self._planned = 0
        self._changed = threading.Condition()
        self._failed: InpartError | None = None

    def windows(self, party: _Party) -> Windows:
        """All windows, for one party."""
        try:
            while (window := self._window(party.passed)) is not None:
                bad = window.bad.result()
                yield window.low, memoryview(window.memory)[: window.size], bad
                self._pass(party)
        finally:
            self.leave(party)

    def leave(self, party: _Party) -> None:
        """One party less; to leave twice is harmless."""
        with self._changed:
            if party.left:
                return
            party.left = True
            self._parties -= 1
            for number in [number for number in self._windows if number >= party.passed]:
                self._release(number)
            if not self._parties:
                self._pool.shutdown(wait=False)
            self._changed.notify_all()

    def _pass(self, party: _Party) -> None:
        with self._changed:
            if not party.left:
                self._release(party.passed)
                party.passed += 1
            self._changed.notify_all()

    def _release(self, number: int) -> None:
        window = self._windows[number]
        window.left -= 1
        if not window.left:
            self._free.append(self._windows.pop(number).memory)

    def _window(self, number: int) -> _Window | None:
        """The window of that number, or None behind the last one; as many more are begun as there is room for."""
        with self._changed:
            while True:
                more = self._read_ahead()
                if number in self._windows:
                    return self._windows[number]
                if not more:
                    return None
                self._changed.wait()

    def _read_ahead(self) -> bool:
        """False if nothing is left to be read. What fails for one party fails for all."""
        try:
            while self._free and self._failed is None:
                place = next(self._plan, None)
                if place is None:
                    return False
                low, high = place
                self._progress(high - low)
                memory = self._free.pop()
                bad = self._pool.submit(self._read, low, memory, high - low)
                self._windows[self._planned] = _Window(low, high - low, memory, bad, self._parties)
                self._planned += 1
        except InpartError as error:
            self._failed = error
        if self._failed is not None:
            raise self._failed
        return True

    def _read(self, low: int, memory: mmap.mmap, size: int) -> list[tuple[int, int]]:
        """Fill the memory; the runs that could not be read."""
        bad: list[tuple[int, int]] = []
        read_window(self._volume, low, memoryview(memory)[:size], lambda start, end: bad.append((start, end)))
        if self._unreadable is not None:
            for start, end in bad:
                self._unreadable(start, end)
        return bad
