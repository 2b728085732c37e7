"""Walking a tree in depth, while the directories that come next are read many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from inpart.contracts import Entry, EntryType

from inpart_ext.directory import DirectoryReader
from inpart_ext.listing import Row, many_directories, one_directory

MAX_DEPTH = 1000
_TOGETHER = 512
_KEPT = 100_000


@dataclass
class _Level:
    """A directory that the walk is in: ``rows`` of it from ``next`` on are still to come, then what is in ``more``."""

    prefix: str
    more: Iterator[list[Row]]
    rows: list[Row] = field(default_factory=list)
    next: int = 0

    def step(self) -> Row | None:
        """The next row; None at the end."""
        while self.next == len(self.rows):
            rows = next(self.more, None)
            if rows is None:
                return None
            self.rows, self.next = rows, 0
        self.next += 1
        return self.rows[self.next - 1]


class Walk:
    """One walk: no directory is listed twice, and no more than ``MAX_DEPTH`` levels are gone down.

    What was read ahead is kept until the walk comes to it, about ``_KEPT`` names of it at most.
    """

    def __init__(self, reader: DirectoryReader) -> None:
        self._reader = reader
        self._seen: set[int] = set()
        self._ready: dict[int, list[Row]] = {}
        self._kept = 0
        self._levels: list[_Level] = []

    def entries(self, path: str, number: int) -> Iterator[Entry]:
        """Everything below the directory with that inode number, parents first. Raises FilesystemDamaged."""
        self._enter(path, number)
        while self._levels:
            level = self._levels[-1]
            row = level.step()
            if row is None:
                self._levels.pop()
                continue
            entry = Entry(f"{level.prefix}/{row[0]}", *row[1])
            yield entry
            if entry.type is EntryType.DIR and entry.record not in self._seen and len(self._levels) < MAX_DEPTH:
                self._enter(entry.path, entry.record)

    def _enter(self, path: str, number: int) -> None:
        self._seen.add(number)
        if number not in self._ready and self._kept < _KEPT:
            self._read_ahead(number)
        rows = self._ready.pop(number, None)
        self._kept -= len(rows or ())
        more = one_directory(self._reader, number) if rows is None else iter([rows])
        self._levels.append(_Level(path.rstrip("/"), more))

    def _read_ahead(self, number: int) -> None:
        """Read this directory, those that come after it, and what is in them."""
        wanted, left = [number, *islice(self._coming(), _TOGETHER - 1)], _TOGETHER
        while wanted and left > 0 and self._kept < _KEPT:
            found = many_directories(self._reader, wanted)
            self._ready |= found
            self._kept += sum(map(len, found.values()))
            left -= len(wanted)
            below = (row for rows in found.values() for row in rows)
            wanted = list(dict.fromkeys(islice(self._unread(below), max(0, left))))

    def _coming(self) -> Iterator[int]:
        """The directories that the walk will come to next, as far as that is known already."""
        for level in reversed(self._levels):
            yield from self._unread(islice(level.rows, level.next, None))

    def _unread(self, rows: Iterator[Row]) -> Iterator[int]:
        for _, facts in rows:
            if facts.type is EntryType.DIR and facts.record not in self._seen and facts.record not in self._ready:
                yield facts.record
