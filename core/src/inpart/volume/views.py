"""Volumes that show part of another one: a slice, or a path of runs through it."""

from __future__ import annotations

import numpy as np

from inpart.errors import OutOfBounds
from inpart.extents import Extents, Runs
from inpart.volume.base import Buffer, Volume


class SliceVolume(Volume):
    """``size`` bytes of another volume from ``start`` on: a partition of a disk. Does not own the other volume."""

    def __init__(self, parent: Volume, start: int, size: int, *, name: str | None = None) -> None:
        """Raises OutOfBounds if the slice reaches beyond its parent."""
        parent.check_bounds(start, size)
        self.parent = parent
        self.start = start
        self.size = size
        self.name = name or f"{parent.name}@{start}"
        self.sector_size = parent.sector_size
        self.writable = parent.writable

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        self.parent.readinto(self.start + offset, buffer)

    def read(self, offset: int, length: int) -> bytes:
        self.check_bounds(offset, length)
        return self.parent.read(self.start + offset, length)

    def fetch(self, offset: int, buffer: memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        self.parent.fetch(self.start + offset, buffer)

    def write(self, offset: int, data: Buffer) -> None:
        self.check_bounds(offset, len(data))
        self.parent.write(self.start + offset, data)

    def flush(self) -> None:
        self.parent.flush()

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        stop = self.size if end is None else end
        return self.parent.data_extents(self.start + start, self.start + stop).shift(-self.start)

    def announce(self, offset: int, length: int) -> None:
        self.parent.announce(self.start + offset, length)

    def forget(self) -> None:
        self.parent.forget()


class RunsVolume(Volume):
    """The bytes along ``runs`` of another volume as one volume: a file, or a stream in scattered pieces."""

    def __init__(self, parent: Volume, runs: Runs, *, size: int | None = None, name: str = "stream") -> None:
        """``size`` cuts the last run short, as the size of a file does its last cluster."""
        self.parent = parent
        self.runs = runs
        self.size = runs.total if size is None else min(size, runs.total)
        self.name = name
        self.sector_size = parent.sector_size
        self.writable = parent.writable
        self._ends = np.cumsum(runs.array[:, 1])

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        view, done = memoryview(buffer), 0
        for start, length in self._path(offset, len(view)):
            piece = view[done : done + length]
            if start == Runs.HOLE:
                piece[:] = bytes(length)
            else:
                self.parent.readinto(start, piece)
            done += length

    def read(self, offset: int, length: int) -> bytes:
        self.check_bounds(offset, length)
        path = self._path(offset, length)
        if len(path) == 1 and path[0][0] != Runs.HOLE:
            return self.parent.read(path[0][0], length)
        return super().read(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        """Writing into a hole raises OutOfBounds, before anything is written."""
        self.check_bounds(offset, len(data))
        path = self._path(offset, len(data))
        if any(start == Runs.HOLE for start, _ in path):
            raise OutOfBounds(f"{self.name}: nothing is stored at {offset}")
        view, done = memoryview(data), 0
        for start, length in path:
            self.parent.write(start, view[done : done + length])
            done += length

    def flush(self) -> None:
        self.parent.flush()

    def forget(self) -> None:
        self.parent.forget()

    def _path(self, offset: int, length: int) -> list[tuple[int, int]]:
        """(start, length) of the pieces of the parent, found without a walk along all runs."""
        first = int(np.searchsorted(self._ends, offset, side="right"))
        last = int(np.searchsorted(self._ends, offset + length, side="left")) + 1
        path: list[tuple[int, int]] = []
        at = int(self._ends[first - 1]) if first else 0
        for start, size in self.runs.array[first:last].tolist():
            low, high = max(at, offset), min(at + size, offset + length)
            if low < high:
                path.append((start if start == Runs.HOLE else start + low - at, high - low))
            at += size
        return path


class ResizedVolume(Volume):
    """Another volume cut short, or made longer with zeros that cannot be written."""

    def __init__(self, parent: Volume, size: int) -> None:
        """``size`` in bytes may be smaller or larger than that of ``parent``."""
        self.parent = parent
        self.size = size
        self.name = parent.name
        self.sector_size = parent.sector_size
        self.writable = parent.writable

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        view = memoryview(buffer)
        real = max(0, min(len(view), self.parent.size - offset))
        if real:
            self.parent.readinto(offset, view[:real])
        view[real:] = bytes(len(view) - real)

    def write(self, offset: int, data: Buffer) -> None:
        """Writing into the zeros raises OutOfBounds."""
        self.check_bounds(offset, len(data))
        self.parent.write(offset, data)

    def flush(self) -> None:
        self.parent.flush()

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        stop = min(self.size if end is None else end, self.parent.size)
        return self.parent.data_extents(start, stop) if start < stop else Extents()

    def forget(self) -> None:
        self.parent.forget()
