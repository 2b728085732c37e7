"""A reader of the layout of blocks written from docs/FORMAT.md alone: nothing of inpart but CRC-32C is used."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

from crc32c import crc32c

MAGIC = bytes.fromhex("9E6970420D0A626B")
DATA, DESCRIPTION, SEAL, REMOVED = 1, 2, 3, 4


class Block(NamedTuple):
    place: int
    kind: int
    flags: int
    image_id: bytes
    store_id: bytes
    sequence: int
    own_offset: int
    partition_size: int
    block_size: int
    cluster_size: int
    serial: int
    payload: bytes


class Facts(NamedTuple):
    stream_size: int
    image_bytes: int
    blocks: int
    head: int
    tail: int
    data_start: int
    cluster_size: int
    serial: int
    has_parent: int
    digest_length: int
    file_limit: int
    created: int
    parent: bytes
    digest: bytes


@dataclass
class Image:
    base: int
    facts: Facts
    kind: str = ""
    name: str = ""
    stem: str = ""
    head: list[tuple[int, int]] = field(default_factory=list)
    tail: list[tuple[int, int]] = field(default_factory=list)
    areas: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    known: list[bytes] = field(default_factory=list)
    blocks: dict[int, Block] = field(default_factory=dict)
    seals: int = 0
    descriptions: int = 0

    def stream(self) -> bytes:
        return b"".join(self.blocks[number].payload for number in range(self.facts.blocks))


def read_block(disk: bytes, place: int) -> Block | None:
    """The block at ``place`` if both its checksums are right."""
    if disk[place : place + 8] != MAGIC:
        return None
    header = disk[place : place + 96]
    major, _minor, kind, flags, image_id, store_id, sequence, own, size, block, length, payload_crc, cluster, serial = (
        struct.unpack_from("<4H16s16sQQQIIIII", header, 8)
    )
    payload = disk[place + 96 : place + 96 + length]
    if major != 1 or struct.unpack_from("<I", header, 92)[0] != crc32c(header[:92]) or crc32c(payload) != payload_crc:
        return None
    return Block(place, kind, flags, image_id, store_id, sequence, own, size, block, cluster, serial, payload)


def read_facts(payload: bytes) -> Facts:
    return Facts(*struct.unpack_from("<6QIIBB6xQq16s32s", payload))


def read_images(disk: bytes) -> list[Image]:
    """All committed images on a disk, by their blocks alone."""
    groups: dict[tuple[bytes, int], list[Block]] = {}
    for place in range(0, len(disk) - 95, 512):
        block = read_block(disk, place)
        if block is not None:
            groups.setdefault((block.image_id, place - block.own_offset), []).append(block)
    images = [read_image(base, blocks) for (_, base), blocks in groups.items()]
    return sorted((image for image in images if image), key=lambda image: (image.facts.created, image.facts.serial))


def read_image(base: int, blocks: list[Block]) -> Image | None:
    seals = [block for block in blocks if block.kind == SEAL]
    packed = [joined for copy in (0, 1) if (joined := join_description(blocks, copy))]
    if not seals or not packed:
        return None
    image = Image(base, read_facts(seals[0].payload), seals=len(seals), descriptions=len(packed))
    read_description(packed[-1], image)
    image.blocks = {block.sequence: block for block in blocks if block.kind == DATA}
    return image


def join_description(blocks: list[Block], copy: int) -> bytes | None:
    pieces = {
        block.sequence % 2**32: block
        for block in blocks
        if block.kind == DESCRIPTION and block.sequence // 2**32 == copy
    }
    packed, number = b"", 0
    while number in pieces:
        packed += pieces[number].payload
        if pieces[number].flags & 2:
            return packed
        number += 1
    return None


def read_description(packed: bytes, image: Image) -> None:
    assert read_facts(packed) == image.facts
    (size,) = struct.unpack_from("<I", packed, 128)
    rest, at = zlib.decompress(packed[132:]), 0
    assert len(rest) == size

    def take(layout: str) -> tuple[int, ...]:
        nonlocal at
        values = struct.unpack_from(layout, rest, at)
        at += struct.calcsize(layout)
        return values

    def take_bytes(length: int) -> bytes:
        nonlocal at
        at += length
        return rest[at - length : at]

    image.kind, image.name, image.stem = (take_bytes(take("<H")[0]).decode() for _ in range(3))
    for runs in (image.head, image.tail):
        (count,) = take("<I")
        runs += [(start, length) for start, length in (take("<QQ") for _ in range(count))]
    (count,) = take("<I")
    for _ in range(count):
        start, length, name_length = take("<QIH")
        name = take_bytes(name_length).decode()
        image.areas[name] = (start, take_bytes(length))
    (count,) = take("<I")
    image.known = [take_bytes(16) for _ in range(count)]
    assert at == len(rest)


def files_of(image: Image) -> dict[str, list[tuple[int, int]]]:
    """The clusters of each file, one entry for each, in order."""
    unit, block_size = image.facts.cluster_size, image.blocks[0].block_size
    each = unit // block_size
    data = [(image.blocks[number].own_offset, unit) for number in range(0, image.facts.blocks, each)]
    clusters = [
        (at, unit) for start, length in (*image.head, *data, *image.tail) for at in range(start, start + length, unit)
    ]
    per_file = image.facts.file_limit // unit
    return {
        f"{image.stem}.ipb" + (f".{number:03}" if number else ""): clusters[at : at + per_file]
        for number, at in enumerate(range(0, len(clusters), per_file))
    }
