"""Changed bytes of a volume, kept in sparse pages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from inpart.extents import Extents
from inpart.transaction.pages import Octets, Page, Pages

Mask = NDArray[np.bool_]

_PAGE = 4096
_BUCKET = 256


class Patch:
    """A sparse layer of bytes over a volume, with a cheap answer for ranges that it does not touch.

    ``sector`` is the unit in which touched places are counted: ``sectors`` of them so far. ``memory`` is in bytes.
    """

    def __init__(self, sector: int) -> None:
        self.sector = sector
        self.sectors = 0
        self._size = max(_PAGE, sector)
        self._pages = Pages(self._size)
        self._buckets: dict[int, set[int]] = {}

    @property
    def memory(self) -> int:
        """Bytes that the layer occupies in memory."""
        return self._pages.memory

    def __bool__(self) -> bool:
        return len(self._pages) > 0

    def put(self, offset: int, data: Octets, mask: Mask | None = None) -> None:
        """Lay ``data`` at ``offset`` over what is there; with ``mask`` only where it is true."""
        for number, low, high, at in self._cuts(offset, len(data)):
            part = None if mask is None else mask[at : at + high - low]
            if part is not None and not part.any():
                continue
            page = self._page(number)
            bits = np.zeros(self._size, dtype=np.bool_)
            bits[low:high] = True if part is None else part
            np.copyto(page.data[low:high], data[at : at + high - low], where=bits[low:high])
            page.mask |= np.packbits(bits)
            touched = int.from_bytes(np.packbits(bits.reshape(-1, self.sector).any(axis=1)).tobytes(), "big")
            self.sectors += (touched & ~page.sectors).bit_count()
            page.sectors |= touched

    def overlay(self, offset: int, view: Octets) -> None:
        """Lay the layer's bytes over ``view``, which holds what is below it from ``offset`` on."""
        for page, low, high, at in self._touched(offset, len(view)):
            where = np.unpackbits(page.mask).view(np.bool_)[low:high]
            np.copyto(view[at : at + high - low], page.data[low:high], where=where)

    def mark(self, offset: int, mask: Mask) -> None:
        """Set ``mask``, which stands for the bytes from ``offset`` on, where the layer has a byte."""
        for page, low, high, at in self._touched(offset, len(mask)):
            mask[at : at + high - low] |= np.unpackbits(page.mask).view(np.bool_)[low:high]

    def touches(self, start: int, end: int) -> bool:
        """True if the layer has a byte in ``[start, end)``."""
        return any(np.unpackbits(page.mask)[low:high].any() for page, low, high, _ in self._touched(start, end - start))

    def extents(self, unit: int = 1) -> Extents:
        """The bytes of the layer, in whole units of ``unit`` bytes, which divides a page."""
        numbers = sorted(self._pages.numbers())
        found: list[NDArray[np.int64]] = []
        for group in range(0, len(numbers), _BUCKET):
            part = numbers[group : group + _BUCKET]
            bits = np.unpackbits(np.stack([self._pages.read(number).mask for number in part]), axis=1).view(np.bool_)
            units = bits.reshape(len(part), -1, unit).any(axis=2)
            row, column = np.nonzero(units)
            starts = np.array(part, dtype=np.int64)[row] * self._size + column * unit
            found.append(Extents.from_starts(starts, unit).array)
        return Extents(np.concatenate(found)) if found else Extents()

    def _page(self, number: int) -> Page:
        if number not in self._pages:
            self._buckets.setdefault(number // _BUCKET, set()).add(number)
        return self._pages.change(number)

    def _touched(self, offset: int, length: int) -> Iterator[tuple[Page, int, int, int]]:
        """Existing pages in a range: (page, first byte, end byte in the page, place in the range)."""
        if not len(self._pages) or length <= 0:
            return
        first, last = offset // self._size, (offset + length - 1) // self._size
        for bucket in range(first // _BUCKET, last // _BUCKET + 1):
            for number in self._buckets.get(bucket, ()):
                if first <= number <= last:
                    start = number * self._size
                    low, high = max(offset - start, 0), min(offset + length - start, self._size)
                    yield self._pages.read(number), low, high, start + low - offset

    def _cuts(self, offset: int, length: int) -> Iterator[tuple[int, int, int, int]]:
        """A range cut into pages: (page number, first byte, end byte in the page, place in the range)."""
        at = 0
        while at < length:
            number, low = divmod(offset + at, self._size)
            high = min(self._size, low + length - at)
            yield number, low, high, at
            at += high - low
