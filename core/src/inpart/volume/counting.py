"""A volume that reports how many bytes pass through it."""

from __future__ import annotations

from collections.abc import Callable

from inpart.extents import Extents
from inpart.volume.base import Buffer, Volume


class CountingVolume(Volume):
    """Passes everything on to ``base`` and calls ``report(bytes)`` after each read or write."""

    def __init__(self, base: Volume, report: Callable[[int], None]) -> None:
        self.base = base
        self.report = report
        self.size = base.size
        self.name = base.name
        self.sector_size = base.sector_size
        self.writable = base.writable

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.base.readinto(offset, buffer)
        self.report(len(buffer))

    def write(self, offset: int, data: Buffer) -> None:
        self.base.write(offset, data)
        self.report(len(data))

    def flush(self) -> None:
        self.base.flush()

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        return self.base.data_extents(start, end)

    def forget(self) -> None:
        self.base.forget()

    def close(self) -> None:
        self.base.close()
