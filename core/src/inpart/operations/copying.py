"""Writing extents of one volume to another: read in parallel, written in order, compared when that saves writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from inpart.checksums import all_zero, crc32c
from inpart.errors import IntegrityError
from inpart.extents import Extents
from inpart.image import ImageReader, ordered_map
from inpart.volume import Volume

DEPTH = 6
_BLOCK = 4096

Piece = tuple[int, memoryview]


@dataclass
class Written:
    """What was written: bytes, and the CRC-32C of every window for reading it back."""

    written: int = 0
    checksums: list[tuple[Extents, int]] = field(default_factory=list)


@dataclass(frozen=True)
class CopyRequest:
    """``extents`` of ``source`` go to ``target``, chunk by chunk of ``image``.

    ``source`` shows what ``image`` holds except in ``altered``: whole chunks then need not be copied in memory.
    ``changed_only`` reads the target first and writes what differs; ``fresh`` says that the target reads as zeros, so
    that zeros need not be written.
    """

    source: Volume
    target: Volume
    extents: Extents
    image: ImageReader
    altered: Extents
    changed_only: bool = False
    fresh: bool = False


def copy_extents(request: CopyRequest, progress: Callable[[int], None]) -> Written:
    """Carry the request out; the caller flushes. Raises what reading and writing raise."""
    done = Written()
    with closing(ordered_map(iter(_windows(request)), lambda one: _fetch(request, one), depth=DEPTH)) as results:
        for extents, pieces, checksum in results:
            for offset, data in pieces:
                request.target.write(offset, data)
                done.written += len(data)
            done.checksums.append((extents, checksum))
            progress(extents.total)
    return done


def read_back(target: Volume, written: Written, progress: Callable[[int], None]) -> None:
    """Read everything again and compare checksums. Raises IntegrityError at the first difference."""

    def check(one: tuple[Extents, int]) -> tuple[Extents, bool]:
        extents, expected = one
        crc = 0
        for start, end in extents:
            crc = crc32c(target.read(start, end - start), crc)
        return extents, crc == expected

    with closing(ordered_map(iter(written.checksums), check, depth=DEPTH)) as results:
        for extents, same in results:
            if not same:
                raise IntegrityError(
                    f"{target.name}: bytes {extents.start} to {extents.end} read back other than they were written",
                    hint="the medium is failing: restore to another one with --to",
                )
            progress(extents.total)


def _windows(request: CopyRequest) -> list[Extents]:
    """The extents in groups that lie in the same window."""
    pieces = request.extents.split(request.image.chunk_size)
    if not len(pieces):
        return []
    cuts = np.flatnonzero(np.diff(pieces[:, 0] // request.image.chunk_size)) + 1
    return [Extents(part) for part in np.split(pieces, cuts)]


def _fetch(request: CopyRequest, extents: Extents) -> tuple[Extents, list[Piece], int]:
    pieces: list[Piece] = []
    crc = 0
    for start, data in _contents(request, extents):
        crc = crc32c(data, crc)
        if request.changed_only:
            pieces += _differing(request.target, start, data)
        elif not (request.fresh and all_zero(data)):
            pieces.append((start, data))
    return extents, pieces, crc


def _contents(request: CopyRequest, extents: Extents) -> Iterator[Piece]:
    """The bytes of ``extents``, which lie in one chunk: as they were decoded where nothing in the chunk is altered."""
    number = extents.start // request.image.chunk_size
    held = request.image.chunk_extents(number)
    if request.altered & extents or not held.covers(extents):
        for start, end in extents:
            data = memoryview(bytearray(end - start))
            request.source.readinto(start, data)
            yield start, data
        return
    chunk = memoryview(request.image.read_chunk(number))
    before = np.cumsum(held.array[:, 1] - held.array[:, 0])
    for start, end in extents:
        run = int(np.searchsorted(held.array[:, 1], start, side="right"))
        at = int(before[run]) - int(held.array[run, 1]) + start
        yield start, chunk[at : at + end - start]


def _differing(target: Volume, start: int, data: memoryview) -> list[Piece]:
    """The blocks of ``data`` that the target does not hold yet."""
    present = target.read(start, len(data))
    if present == data:
        return []
    same = np.frombuffer(present, dtype=np.uint8) != np.frombuffer(data, dtype=np.uint8)
    blocks = np.add.reduceat(same, np.arange(0, len(data), _BLOCK)) > 0
    runs = Extents.from_mask(blocks, _BLOCK).clip(0, len(data))
    return [(start + low, data[low:high]) for low, high in runs]
