"""Pages of changed bytes by number: some lie open, the others are packed, so that long edits need little memory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from threading import Lock

import numpy as np
import zstandard
from numpy.typing import NDArray

Octets = NDArray[np.uint8]

MAX_OPEN = 4096
_LEVEL = 1
_OPEN_OVERHEAD = 400
_PACKED_OVERHEAD = 200


class Page:
    """Content of a page; ``mask`` has a bit for each byte that counts, ``sectors`` one for each sector touched."""

    __slots__ = ("data", "mask", "sectors")

    def __init__(self, data: Octets, mask: Octets, sectors: int) -> None:
        self.data = data
        self.mask = mask
        self.sectors = sectors


class Pages:
    """Pages of ``size`` bytes, a multiple of 32. Runs of table entries, free or chained, pack to almost nothing.

    Several threads may read at once, as long as nobody changes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._open: dict[int, Page] = {}
        self._packed: dict[int, tuple[bytes, int]] = {}
        self._packed_bytes = 0
        self._encoder = zstandard.ZstdCompressor(level=_LEVEL)
        self._decoder = zstandard.ZstdDecompressor()
        self._decoding = Lock()

    @property
    def memory(self) -> int:
        """Bytes that the pages occupy."""
        each = self._size + self._size // 8 + _OPEN_OVERHEAD
        return len(self._open) * each + len(self._packed) * _PACKED_OVERHEAD + self._packed_bytes

    def __len__(self) -> int:
        return len(self._open) + len(self._packed)

    def __contains__(self, number: int) -> bool:
        return number in self._open or number in self._packed

    def numbers(self) -> Iterable[int]:
        """The numbers of all pages, in no order."""
        return [*self._open, *self._packed]

    def read(self, number: int) -> Page:
        """An existing page, to be looked at only."""
        return self._open[number] if number in self._open else self._unpacked(*self._packed[number])

    def change(self, number: int) -> Page:
        """The page, made if there is none. What is changed in it counts until the next call."""
        page = self._open.get(number)
        if page is None:
            if len(self._open) >= MAX_OPEN:
                self._pack_some()
            page = self._open[number] = self._reopened(number)
        return page

    def _reopened(self, number: int) -> Page:
        if number not in self._packed:
            return Page(np.zeros(self._size, np.uint8), np.zeros(self._size // 8, np.uint8), 0)
        packed, sectors = self._packed.pop(number)
        self._packed_bytes -= len(packed)
        return self._unpacked(packed, sectors)

    def _pack_some(self) -> None:
        """Pack the half that has been open for longest; entries of tables become steps from one to the next."""
        for number in list(islice(self._open, MAX_OPEN // 2)):
            page = self._open.pop(number)
            steps = np.diff(page.data.view("<u4"), prepend=np.zeros(1, "<u4"))
            # a copy, because the encoder's result keeps the memory of the worst case
            packed = bytes(memoryview(self._encoder.compress(page.mask.tobytes() + steps.tobytes())))
            self._packed[number] = packed, page.sectors
            self._packed_bytes += len(packed)

    def _unpacked(self, packed: bytes, sectors: int) -> Page:
        with self._decoding:
            content = np.frombuffer(self._decoder.decompress(packed), dtype=np.uint8)
        mask, steps = content[: self._size // 8], content[self._size // 8 :]
        return Page(np.cumsum(steps.view("<u4"), dtype="<u4").view(np.uint8), mask.copy(), sectors)
