"""Seal and description of an image as blocks: where they go, how they are written and read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from inpart.errors import InpartError
from inpart.extents import Runs
from inpart.units import KIB, SECTOR
from inpart.volume import Volume

from inpart_storage_blocks.facts import Description, Facts
from inpart_storage_blocks.positions import Positions
from inpart_storage_blocks.structs import (
    COPY_SHIFT,
    HEADER,
    HEADER_SIZE,
    SMALLEST_BLOCK,
    Flag,
    Headers,
    Kind,
    Origin,
    is_proven,
    unpack,
)

HEAD, TAIL = 0, 1
MAX_PIECES = 1 << 13

Placed = tuple[int, bytes]
"""An offset in the partition and the bytes that belong there."""


def control_size(block_size: int) -> int:
    """Bytes of seal and description at the beginning of the head."""
    return max(8 * KIB, 2 * block_size)


def head_description(origin: Origin, description: Description) -> bytes:
    """The packed description for the head, without system areas if need be; nothing if even that is too large."""
    room = control_size(origin.block_size) // origin.block_size - 1
    packed = (one.pack() for one in (description, description.without_system()))
    return next((data for data in packed if blocks_for(data, origin) <= room), b"")


def seal(origin: Origin, facts: Facts, copy: int, place: int) -> bytes:
    """The first sector of a seal, which is all that counts of it."""
    return origin.pack(Kind.SEAL, copy << COPY_SHIFT, place, facts.pack(), Flag.FIRST | Flag.LAST)[:SECTOR]


def tombstone(origin: Origin, copy: int, place: int) -> bytes:
    """The sector that takes the place of a seal when its image is deleted."""
    return origin.pack(Kind.REMOVED, copy << COPY_SHIFT, place, b"removed", Flag.FIRST | Flag.LAST)[:SECTOR]


def blocks_for(packed: bytes, origin: Origin) -> int:
    """How many blocks a packed description takes."""
    return -(-len(packed) // origin.payload)


def description_blocks(origin: Origin, packed: bytes, copy: int, runs: Runs) -> Iterator[Placed]:
    """The blocks of a description; the first of ``runs`` is that of the seal before them."""
    count = blocks_for(packed, origin)
    for number in range(count):
        place = place_in(runs, (number + 1) * origin.block_size)
        part = packed[number * origin.payload : (number + 1) * origin.payload]
        flags = (Flag.FIRST if number == 0 else Flag.NONE) | (Flag.LAST if number == count - 1 else Flag.NONE)
        yield place, origin.pack(Kind.DESCRIPTION, (copy << COPY_SHIFT) + number, place, part, flags)


def place_in(runs: Runs, offset: int) -> int:
    """Where byte ``offset`` of a path lies."""
    return int(runs.slice(offset, 1).array[0, 0])


@dataclass(frozen=True)
class Control:
    """What one copy of seal and description says; None for what is lost."""

    sealed: Facts | None
    description: Description | None


def origin_of(headers: Headers) -> Origin:
    """What the first of ``headers`` says of its image."""
    one = headers[0]
    sizes = (int(one[name]) for name in ("partition", "block", "cluster", "serial"))
    return Origin(one["image"].tobytes(), one["store"].tobytes(), *sizes)


def read_seal(volume: Volume, place: int) -> tuple[Origin, int, Facts] | None:
    """Origin, copy number and facts of the seal at ``place`` of ``volume``; None if there is no valid one."""
    if place < 0 or place + SMALLEST_BLOCK > volume.size:
        return None
    try:
        data = volume.read(place, SMALLEST_BLOCK)
        headers = unpack(data)
        if headers["kind"][0] != Kind.SEAL:
            return None
        origin = origin_of(headers)
        facts = Facts.unpack(data[HEADER_SIZE : HEADER_SIZE + int(headers["length"][0])], origin.block_size)
        return origin, int(headers["sequence"][0]) >> COPY_SHIFT, facts
    except InpartError:
        return None


def read_description(volume: Volume, places: list[int], origin: Origin) -> Description | None:
    """The description whose blocks begin at ``places``, in order; None if one of them is lost."""
    packed: list[bytes] = []
    try:
        for number, place in enumerate(places):
            data = volume.read(place, origin.block_size)
            headers = unpack(data)
            same = origin_of(headers) == origin and headers["kind"][0] == Kind.DESCRIPTION
            if not same or int(headers["sequence"][0]) & ((1 << COPY_SHIFT) - 1) != number:
                return None
            packed.append(data[HEADER_SIZE : HEADER_SIZE + int(headers["length"][0])])
            if headers["flags"][0] & Flag.LAST:
                return Description.unpack(b"".join(packed), origin.image_id, origin.block_size)
    except InpartError:
        return None
    return None


def read_control(volume: Volume, runs: Runs, copy: int, origin: Origin) -> Control:
    """Seal and description in the head or the tail, whose clusters are ``runs`` of ``volume``."""
    found = read_seal(volume, place_in(runs, 0))
    facts = found[2] if found and found[:2] == (origin, copy) else None
    count = min(runs.total // origin.block_size - 1, MAX_PIECES)
    places = Positions(runs).of(np.arange(1, count + 1, dtype=np.int64) * origin.block_size).tolist()
    return Control(facts, read_description(volume, places, origin))


def has_block(volume: Volume, place: int) -> bool:
    """True if a block of an image starts at ``place`` of ``volume``."""
    if place < 0 or place + HEADER_SIZE > volume.size:
        return False
    try:
        headers = np.frombuffer(volume.read(place, HEADER_SIZE), dtype=HEADER)
    except InpartError:
        return False
    return bool(is_proven(headers)[0])
