"""A volume that stands before another one and hands everything on."""

from __future__ import annotations

from inpart.extents import Extents
from inpart.volume.base import Buffer, Volume


class ProxyVolume(Volume):
    """``base`` as it is; subclasses say what they do otherwise. Does not own ``base``.

    Every way of reading goes through ``readinto``, ``fetch`` as well: a subclass has one method to change.
    """

    def __init__(self, base: Volume) -> None:
        self.base = base
        self.size = base.size
        self.name = base.name
        self.sector_size = base.sector_size
        self.writable = base.writable

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.base.readinto(offset, buffer)

    def write(self, offset: int, data: Buffer) -> None:
        self.base.write(offset, data)

    def flush(self) -> None:
        self.base.flush()

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        return self.base.data_extents(start, end)

    def announce(self, offset: int, length: int) -> None:
        self.base.announce(offset, length)

    def forget(self) -> None:
        self.base.forget()
