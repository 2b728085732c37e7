"""The contract of a volume, and the one that lives in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from inpart.errors import OutOfBounds, VolumeError
from inpart.extents import Extents
from inpart.units import SECTOR

Buffer = bytes | bytearray | memoryview


class Volume(ABC):
    """Bytes at offsets ``[0, size)``. Reads may come from several threads at once; writes from one at a time.

    ``name`` is what messages call it; ``sector_size`` is the logical sector in bytes, the unit that the medium
    writes whole or not at all.
    """

    name: str
    size: int
    sector_size: int = SECTOR
    writable: bool = False

    @abstractmethod
    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Fill ``buffer`` with the bytes at ``offset``. Raises OutOfBounds, VolumeError; never reads short."""

    @abstractmethod
    def write(self, offset: int, data: Buffer) -> None:
        """Write all of ``data`` at ``offset``; on the medium only after ``flush``.

        Raises OutOfBounds, VolumeError, NoSpace if a sparse file cannot grow into it.
        """

    @abstractmethod
    def flush(self) -> None:
        """Return when everything written before is on the medium. Raises VolumeError."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes at ``offset``. Raises OutOfBounds, VolumeError."""
        self.check_bounds(offset, length)
        buffer = bytearray(length)
        self.readinto(offset, buffer)
        return bytes(buffer)

    def fetch(self, offset: int, buffer: memoryview) -> None:
        """As ``readinto``, for bytes that are looked at once: the page cache is used, but not filled.

        Fast where ``buffer`` and ``offset`` begin at a page.
        """
        self.readinto(offset, buffer)

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        """The part of ``[start, end)`` that may hold anything but zeros; holes of sparse files are left out."""
        return Extents.span(start, self.size if end is None else end)

    def announce(self, offset: int, length: int) -> None:
        """These bytes will be read soon: they may be fetched meanwhile. May do nothing."""

    def forget(self) -> None:
        """Drop caches, so that the next reads come from the medium. May do nothing."""

    def close(self) -> None:
        """Release the volume; closing twice is harmless."""

    def check_bounds(self, offset: int, length: int) -> None:
        """Raise OutOfBounds unless ``[offset, offset + length)`` lies in the volume."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise OutOfBounds(f"{self.name}: {length} bytes at {offset} reach beyond its {self.size} bytes")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ReadOnlyVolume(Volume):
    """A volume that refuses every write."""

    def write(self, offset: int, data: Buffer) -> None:
        raise VolumeError(f"{self.name} is read-only")

    def flush(self) -> None:
        """Nothing to do."""


class MemoryVolume(Volume):
    """A volume in memory, for tests, small work copies and the demonstration."""

    def __init__(self, content: int | Buffer, *, name: str = "memory", sector_size: int = SECTOR) -> None:
        """``content`` is a size in bytes, all zero, or the bytes themselves."""
        self.data = bytearray(content)
        self.size = len(self.data)
        self.name = name
        self.sector_size = sector_size
        self.writable = True

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        memoryview(buffer)[:] = memoryview(self.data)[offset : offset + len(buffer)]

    def write(self, offset: int, data: Buffer) -> None:
        self.check_bounds(offset, len(data))
        self.data[offset : offset + len(data)] = data

    def flush(self) -> None:
        """Memory has no medium behind it."""
