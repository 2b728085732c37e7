"""A stored image as a read-only volume of the partition's size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future

from inpart.errors import IntegrityError
from inpart.extents import Extents
from inpart.image.reader import ImageReader
from inpart.units import MIB
from inpart.volume import ReadOnlyVolume

CACHE_BYTES = 32 * MIB


class ImageVolume(ReadOnlyVolume):
    """The partition as it was when the image was made; bytes that the image does not hold read as zeros.

    Reading what a damaged image has lost raises IntegrityError. Decoded chunks are kept up to ``cache_bytes``; reads
    may come from several threads, which then decode in parallel.
    """

    def __init__(self, reader: ImageReader, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.reader = reader
        self.size = reader.partition_size
        self.name = f"image {reader.manifest.name}"
        self.sector_size = reader.manifest.partition.sector_size
        self._limit = cache_bytes
        self._cached = 0
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._pending: dict[int, Future[bytes]] = {}
        self._lock = threading.Lock()

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        view, end = memoryview(buffer), offset + len(buffer)
        if self.reader.lost and self.reader.lost.clip(offset, end):
            raise IntegrityError(
                f"{self.name}: of the bytes {offset} to {end} of the partition a part is lost",
                hint="inpart verify says what is left of the image",
            )
        step = self.reader.chunk_size
        at = offset
        while at < end:
            stop = min(end, (at // step + 1) * step)
            self._fill(at // step, at, view[at - offset : stop - offset])
            at = stop

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        return (self.reader.extents | self.reader.lost).clip(start, self.size if end is None else end)

    def _fill(self, number: int, offset: int, target: memoryview) -> None:
        """Bytes of one chunk's span from ``offset`` on."""
        runs = self.reader.chunk_extents(number)
        wanted = runs.clip(offset, offset + len(target))
        if wanted.total < len(target):
            target[:] = bytes(len(target))
        if not wanted:
            return
        content = memoryview(self._chunk(number))
        skip = runs.clip(0, wanted.start).total
        for start, end in wanted:
            target[start - offset : end - offset] = content[skip : skip + end - start]
            skip += end - start

    def _chunk(self, number: int) -> bytes:
        """The used bytes of a chunk; a thread that wants a chunk that another one decodes waits for it."""
        with self._lock:
            if number in self._cache:
                self._cache.move_to_end(number)
                return self._cache[number]
            pending = self._pending.get(number)
            mine: Future[bytes] = Future()
            if pending is None:
                self._pending[number] = mine
        if pending is not None:
            return pending.result()
        try:
            content = self.reader.read_chunk(number)
        except BaseException as error:
            mine.set_exception(error)
            with self._lock:
                del self._pending[number]
            raise
        self._keep(number, content)
        mine.set_result(content)
        return content

    def _keep(self, number: int, content: bytes) -> None:
        with self._lock:
            del self._pending[number]
            self._cache[number] = content
            self._cached += len(content)
            while self._cached > self._limit and len(self._cache) > 1:
                self._cached -= len(self._cache.popitem(last=False)[1])
