"""A volume that reports how many bytes pass through it."""

from __future__ import annotations

from collections.abc import Callable

from inpart.volume.base import Buffer, Volume
from inpart.volume.proxy import ProxyVolume


class CountingVolume(ProxyVolume):
    """Passes everything on to ``base`` and calls ``report(bytes)`` after each read or write."""

    def __init__(self, base: Volume, report: Callable[[int], None]) -> None:
        super().__init__(base)
        self.report = report

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        super().readinto(offset, buffer)
        self.report(len(buffer))

    def write(self, offset: int, data: Buffer) -> None:
        super().write(offset, data)
        self.report(len(data))
