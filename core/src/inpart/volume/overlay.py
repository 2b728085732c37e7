"""A copy-on-write volume: writes are kept in memory over a volume that stays as it is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from inpart.extents import Extents
from inpart.volume.base import Buffer, Volume


class OverlayVolume(Volume):
    """``base`` with the writes of this overlay on top; ``base`` is never written."""

    def __init__(self, base: Volume, *, name: str | None = None) -> None:
        self.base = base
        self.size = base.size
        self.name = name or base.name
        self.sector_size = base.sector_size
        self.writable = True
        self._starts: list[int] = []
        self._pieces: list[bytearray] = []

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        view = memoryview(buffer)
        first, last = self._touching(offset, offset + len(view))
        if not self._covered(first, last, offset, offset + len(view)):
            self.base.readinto(offset, buffer)
        for index in range(first, last):
            start, piece = self._starts[index], self._pieces[index]
            low, high = max(start, offset), min(start + len(piece), offset + len(view))
            view[low - offset : high - offset] = memoryview(piece)[low - start : high - start]

    def write(self, offset: int, data: Buffer) -> None:
        self.check_bounds(offset, len(data))
        if not len(data):
            return
        first, last = self._touching(offset, offset + len(data), joining=True)
        start, piece = offset, bytearray(data)
        if first < last:
            low, high = self._starts[first], self._starts[last - 1] + len(self._pieces[last - 1])
            head = self._pieces[first][: max(0, offset - low)]
            over = high - (offset + len(data))
            tail = self._pieces[last - 1][-over:] if over > 0 else b""
            start, piece = min(low, offset), head + piece + tail
        self._starts[first:last] = [start]
        self._pieces[first:last] = [piece]

    def flush(self) -> None:
        """Nothing to do: the overlay is memory."""

    def changed(self) -> Extents:
        """The bytes that the overlay holds."""
        return Extents([(start, start + len(piece)) for start, piece in zip(self._starts, self._pieces, strict=True)])

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        stop = self.size if end is None else end
        return self.base.data_extents(start, stop) | self.changed().clip(start, stop)

    def forget(self) -> None:
        self.base.forget()

    def _touching(self, start: int, end: int, *, joining: bool = False) -> tuple[int, int]:
        """Indices of the pieces that overlap ``[start, end)``; with ``joining`` also those that touch it."""
        slack = 1 if joining else 0
        first = bisect_right(self._starts, start - slack)
        if first and self._starts[first - 1] + len(self._pieces[first - 1]) > start - slack:
            first -= 1
        return first, max(first, bisect_left(self._starts, end + slack))

    def _covered(self, first: int, last: int, start: int, end: int) -> bool:
        if last - first != 1:
            return False
        return self._starts[first] <= start and end <= self._starts[first] + len(self._pieces[first])
