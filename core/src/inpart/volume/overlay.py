"""A copy-on-write volume: writes are kept in memory over a volume that stays as it is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from threading import Lock

from inpart.extents import Extents
from inpart.units import MIB
from inpart.volume.base import Buffer, Volume

_LARGEST_PIECE = MIB


class OverlayVolume(Volume):
    """``base`` with the writes of this overlay on top; ``base`` is never written.

    The written bytes are pieces that do not overlap, in the order of their offsets; a write costs its own length and
    a look among the pieces, however many there are. Reads and writes may come from several threads.
    """

    def __init__(self, base: Volume, *, name: str | None = None) -> None:
        self.base = base
        self.size = base.size
        self.name = name or base.name
        self.sector_size = base.sector_size
        self.writable = True
        self._starts: list[int] = []
        self._pieces: list[bytearray] = []
        self._lock = Lock()

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        view, end = memoryview(buffer), offset + len(buffer)
        if not self._patch(view, offset, end):
            self.base.readinto(offset, view)
            self._patch(view, offset, end)

    def write(self, offset: int, data: Buffer) -> None:
        self.check_bounds(offset, len(data))
        if not len(data):
            return
        with self._lock:
            self._put(offset, data)

    def flush(self) -> None:
        """Nothing to do: the overlay is memory."""

    def changed(self) -> Extents:
        """The bytes that the overlay holds."""
        with self._lock:
            pairs = [(start, start + len(piece)) for start, piece in zip(self._starts, self._pieces, strict=True)]
        return Extents(pairs)

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        stop = self.size if end is None else end
        return self.base.data_extents(start, stop) | self.changed().clip(start, stop)

    def forget(self) -> None:
        self.base.forget()

    def _patch(self, view: memoryview, offset: int, end: int) -> bool:
        """Copy what the pieces hold of ``[offset, end)`` into ``view``; true if that is all of it."""
        copied = 0
        with self._lock:
            first, last = self._overlapping(offset, end)
            for start, piece in zip(self._starts[first:last], self._pieces[first:last], strict=True):
                low, high = max(start, offset), min(start + len(piece), end)
                view[low - offset : high - offset] = memoryview(piece)[low - start : high - start]
                copied += high - low
        return copied == end - offset

    def _put(self, offset: int, data: Buffer) -> None:
        end = offset + len(data)
        first, last = self._overlapping(offset, end)
        if first < last and self._starts[first] <= offset and end <= self._starts[first] + len(self._pieces[first]):
            at = offset - self._starts[first]
            self._pieces[first][at : at + len(data)] = data
            return
        first, last = self._make_room(first, last, offset, end)
        if first and self._appends(first - 1, offset, len(data)):
            self._pieces[first - 1] += data
            self._starts[first:last], self._pieces[first:last] = [], []
        else:
            self._starts[first:last], self._pieces[first:last] = [offset], [bytearray(data)]

    def _make_room(self, first: int, last: int, offset: int, end: int) -> tuple[int, int]:
        """Cut the pieces at both ends back to what lies outside ``[offset, end)``; the rest, inside it, may go."""
        if first < last and self._starts[first] < offset:
            del self._pieces[first][offset - self._starts[first] :]
            first += 1
        if first < last and self._starts[last - 1] + len(self._pieces[last - 1]) > end:
            del self._pieces[last - 1][: end - self._starts[last - 1]]
            self._starts[last - 1] = end
            last -= 1
        return first, last

    def _appends(self, index: int, offset: int, length: int) -> bool:
        piece = self._pieces[index]
        return self._starts[index] + len(piece) == offset and len(piece) + length <= _LARGEST_PIECE

    def _overlapping(self, start: int, end: int) -> tuple[int, int]:
        """Indices of the pieces that have bytes in ``[start, end)``."""
        first = bisect_right(self._starts, start)
        if first and self._starts[first - 1] + len(self._pieces[first - 1]) > start:
            first -= 1
        return first, max(first, bisect_left(self._starts, end))
