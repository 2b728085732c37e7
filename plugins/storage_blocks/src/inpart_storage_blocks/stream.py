"""An image stream read from its blocks, each proven before a byte of it is given away."""

from __future__ import annotations

import numpy as np
from inpart.checksums import crc32c
from inpart.extents import Pairs
from inpart.units import MIB
from inpart.volume import ReadOnlyVolume, Volume
from numpy.typing import NDArray

from inpart_storage_blocks.pieces import Pieces
from inpart_storage_blocks.structs import (
    HEADER,
    HEADER_SIZE,
    MAGIC_WORD,
    DamagedBlock,
    Headers,
    Kind,
    Origin,
    header_sums,
    id_words,
)

_BATCH = MIB


class BlockStream(ReadOnlyVolume):
    """The stream of an image whose blocks lie in ``pieces`` of ``volume``.

    Reading bytes of a missing or damaged block raises DamagedBlock; other bytes are read all the same.
    """

    def __init__(self, volume: Volume, origin: Origin, pieces: Pieces, size: int, name: str) -> None:
        self.size = size
        self.name = name
        self._volume = volume
        self._origin = origin
        self._first = pieces["sequence"].copy()
        self._end = self._first + pieces["count"]
        self._place = pieces["place"].copy()

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        view, payload, end = memoryview(buffer).cast("B"), self._origin.payload, offset + len(buffer)
        step = _BATCH // self._origin.block_size
        for first in range(offset // payload, -(-end // payload), step):
            count = min(step, -(-end // payload) - first)
            content = self._content(first, count)
            low, high = max(offset, first * payload), min(end, (first + count) * payload)
            view[low - offset : high - offset] = content[low - first * payload : high - first * payload]

    def _content(self, first: int, count: int) -> memoryview:
        """The payloads of ``count`` blocks, each padded to a full one."""
        block = self._origin.block_size
        blocks = np.empty((count, block), dtype=np.uint8)
        view = blocks.data.cast("B")
        for place, start, number in self._path(first, count):
            at = (start - first) * block
            self._volume.readinto(place, view[at : at + number * block])
        self._check(first, blocks, view)
        return np.ascontiguousarray(blocks[:, HEADER_SIZE:]).data.cast("B")

    def _path(self, first: int, count: int) -> list[tuple[int, int, int]]:
        """(place, first block, number of blocks) of the pieces that hold them. Raises DamagedBlock."""
        at, end, path = first, first + count, []
        index = int(np.searchsorted(self._end, first, side="right"))
        while at < end:
            if index == len(self._first) or self._first[index] > at:
                raise self._damage(at, "is missing")
            number = min(end, int(self._end[index])) - at
            path.append(
                (int(self._place[index]) + (at - int(self._first[index])) * self._origin.block_size, at, number)
            )
            at += number
            index += 1
        return path

    def _check(self, first: int, blocks: NDArray[np.uint8], view: memoryview) -> None:
        headers = np.ascontiguousarray(blocks[:, :HEADER_SIZE]).reshape(-1).view(HEADER)
        wrong = self._strangers(headers, np.arange(first, first + len(headers), dtype=np.int64))
        if wrong.any():
            raise self._damage(first + int(np.flatnonzero(wrong)[0]), "was overwritten or is damaged")
        starts = range(HEADER_SIZE, len(view), self._origin.block_size)
        lengths = headers["length"].tolist()
        sums = [crc32c(view[start : start + length]) for start, length in zip(starts, lengths, strict=True)]
        wrong = np.array(sums, dtype=np.uint32) != headers["payload_crc"]
        if wrong.any():
            raise self._damage(first + int(np.flatnonzero(wrong)[0]), "has a wrong checksum")

    def _strangers(self, headers: Headers, sequences: Pairs) -> NDArray[np.bool_]:
        """True for headers that are not those of this image's blocks."""
        payload = self._origin.payload
        lengths = np.minimum(self.size - sequences * payload, payload)
        wrong = (headers["magic"] != MAGIC_WORD) | (headers["kind"] != Kind.DATA)
        wrong |= (headers["image"] != id_words(self._origin.image_id)).any(axis=1)
        wrong |= (headers["sequence"] != sequences.astype(np.uint64)) | (headers["length"] != lengths.astype(np.uint32))
        wrong |= header_sums(headers) != headers["header_crc"]
        return np.asarray(wrong)

    def _damage(self, number: int, what: str) -> DamagedBlock:
        payload = self._origin.payload
        start, end = number * payload, min((number + 1) * payload, self.size)
        return DamagedBlock(
            f"{self.name}: block {number} (bytes {start} to {end} of the stream) {what}",
            hint="`inpart verify` names what it hits; `restore --allow-incomplete` brings back the rest",
        )
