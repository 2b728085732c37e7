"""A reader of recovery partitions written from docs/FORMAT.md alone; it shares no code with the plugin."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import blake3
import crc32c


@dataclass
class Head:
    """Fields of a head, and its entries as tuples in the order of the disk."""

    place: int
    other: int
    size: int
    generation: int
    entries: list[tuple[int, int, int, int, bytes]]


def heads(partition: bytes) -> list[Head]:
    """Intact heads, the one of the highest generation first."""
    found = []
    for place in range(0, min(len(partition), 64 << 20) - 4095, 4096):
        raw = partition[place : place + 4096]
        if raw[:8] != bytes.fromhex("9E6970500D0A1A70") or raw[8:10] != b"\x01\x00":
            continue
        (seal,) = struct.unpack_from("<I", raw, 12)
        own, other, size, generation, count = struct.unpack_from("<QQQQH", raw, 16)
        if own != place or seal != crc32c.crc32c(raw[:12] + bytes(4) + raw[16:]):
            continue
        entries = [struct.unpack_from("<QIII4x32s8x", raw, 64 + 64 * index) for index in range(count)]
        assert not any(raw[50:64])
        assert not any(raw[64 + 64 * count :])
        assert all(raw[64 + 64 * at + 20 : 64 + 64 * at + 24] + raw[120 + 64 * at : 128 + 64 * at] == bytes(12)
                   for at in range(count))  # fmt: skip
        found.append(Head(place, other, size, generation, entries))
    return sorted(found, key=lambda head: -head.generation)


def record(partition: bytes, head: Head, entry: tuple[int, int, int, int, bytes]) -> dict[str, Any] | None:
    """One record, None if it is damaged."""
    _, offset, stored_length, content_length, digest = entry
    stored = partition[head.place + offset : head.place + offset + stored_length]
    if blake3.blake3(stored).digest() != digest:
        return None
    content = zlib.decompress(stored)
    assert len(content) == content_length
    found: dict[str, Any] = json.loads(content)
    return found


def records(partition: bytes) -> list[dict[str, Any]]:
    """All records that count."""
    slots = heads(partition)
    found, lost = [], []
    for entry in slots[0].entries if slots else []:
        one = record(partition, slots[0], entry)
        if one is None:
            lost.append(entry[0])
        else:
            found.append(one)
    for entry in slots[1].entries if len(slots) > 1 else []:
        one = record(partition, slots[1], entry)
        if entry[0] in lost and one is not None:
            found.append(one)
    return found
