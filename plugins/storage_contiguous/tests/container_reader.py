"""An independent reader of the contiguous container, written from docs/FORMAT.md alone; knows bytes, no inpart."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from blake3 import blake3

FAMILY = bytes.fromhex("9E6970430D0A")


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC = _crc_table()


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def u64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def geometry(data: bytes) -> dict[str, int]:
    return {
        "partition_size": u64(data, 208),
        "data_start": u64(data, 216),
        "data_end": u64(data, 224),
        "cluster_size": u32(data, 232),
        "slot_size": u32(data, 236),
        "toc_end_offset": u64(data, 240),
        "toc_end_size": u64(data, 248),
    }


def segment(disk: bytes, base: int, offset: int) -> dict[str, Any]:
    """The segment at ``offset`` of the partition that begins at ``base``; its payload with it."""
    data = disk[base + offset : base + offset + 4096]
    assert data[:8] == FAMILY + b"sg"
    assert u16(data, 8) == 1
    assert u32(data, 12) == crc32c(data[16:])
    assert u64(data, 64) == offset
    runs = [(u64(data, 512 + 16 * n), u64(data, 520 + 16 * n)) for n in range(u16(data, 100))]
    assert runs[0][0] == offset
    whole = b"".join(disk[base + start : base + start + length] for start, length in runs)
    payload = whole[4096 : 4096 + u64(data, 80)]
    assert not any(whole[4096 + len(payload) :])
    assert crc32c(payload) == u32(data, 92)
    packed = data[2056 : 2056 + u16(data, 2048)]
    expanded = zlib.decompress(packed) if packed else b""
    assert len(expanded) == u32(data, 2052)
    return {
        "areas": system_areas(expanded, u16(data, 2050)),
        "container_id": data[16:32],
        "image_id": data[48:64],
        "stream_offset": u64(data, 72),
        "sequence": u32(data, 88),
        "crc": u32(data, 92),
        "last": bool(u16(data, 96) & 1),
        "state": u16(data, 98),
        "segment_size": u64(data, 104),
        "file_limit": u64(data, 112),
        "stream_size": u64(data, 120),
        "image_bytes": u64(data, 128),
        "created": int.from_bytes(data[136:144], "little", signed=True),
        "kind": data[144:160].rstrip(b"\0").decode(),
        "digest": data[160:192],
        "parent": data[192:208],
        "geometry": geometry(data),
        "name": data[256 : 256 + u16(data, 102)].decode(),
        "runs": runs,
        "payload": payload,
    }


def table(disk: bytes, base: int, offset: int) -> dict[str, Any]:
    """The table of contents at ``offset``; every checksum of it is checked."""
    data = disk[base + offset : base + offset + 512]
    partial = data[:8] == FAMILY + b"pb"
    assert partial or data[:8] == FAMILY + b"tb"
    assert u16(data, 8) == 1
    assert u32(data, 12) == crc32c(data[16:512])
    assert data[48:64] == b"inpart container"
    assert u64(data, 64) == offset
    length = u32(data, 152)
    data = disk[base + offset : base + offset + length]
    assert u32(data, 156) == crc32c(data[512:])
    assert data[-16:-8] == FAMILY + (b"pe" if partial else b"te")
    assert u64(data, length - 8) == u64(data, 72)
    count, at = u32(data, 144), u32(data, 148)
    offsets = [u32(data, at + 4 * n) for n in range(count)]
    at += (4 * count + 7) // 8 * 8
    room = [(u64(data, at + 16 * n), u64(data, at + 16 * n + 8)) for n in range(u16(data, 162))]
    entries = [entry(data, place) for place in offsets]
    sealed = b"".join(
        one["image_id"] + one["digest"] + struct.pack("<QI", one["stream_size"], one["segments_crc32c"])
        for one in entries
    )
    assert blake3(sealed).digest() == data[112:144]
    return {
        "container_id": data[16:32],
        "partition_signature": data[32:48],
        "generation": u64(data, 72),
        "container_offset": u64(data, 80),
        "container_size": u64(data, 88),
        "toc_begin_offset": u64(data, 96),
        "created": u64(data, 104),
        "kind": data[160],
        "slot": data[161],
        "inter_number": u32(data, 164),
        "geometry": geometry(data),
        "room": room,
        "entries": entries,
    }


def entry(data: bytes, at: int) -> dict[str, Any]:
    assert data[at : at + 4] == b"IENT"
    one = data[at : at + u32(data, at + 4)]
    assert len(one) % 8 == 0
    assert u32(one, 8) == crc32c(one[12:])
    name_end = 192 + u16(one, 14)
    stem_end = name_end + u16(one, 164)
    blob = one[stem_end : stem_end + u32(one, 152)]
    if u16(one, 12) & 1:
        blob = zlib.decompress(blob)
    assert len(blob) == u32(one, 156)
    segments, runs, files = u32(one, 136), u32(one, 140), u32(one, 144)
    form = f"<{segments}q{segments}i{files}i{runs}q{runs}q"
    numbers = list(struct.unpack_from(form, blob))
    payloads = [numbers.pop(0) for _ in range(segments)]
    run_counts = [numbers.pop(0) for _ in range(segments)]
    file_counts = [numbers.pop(0) for _ in range(files)]
    place, pieces = 0, []
    for step, length in zip(numbers[:runs], numbers[runs:], strict=True):
        place += step
        pieces.append((place, length))
    areas = system_areas(blob[struct.calcsize(form) :], u16(one, 166))
    assert sum(length for _, length in pieces) == u64(one, 176)
    assert pieces[0][0] == u64(one, 80)
    stem = one[name_end:stem_end].decode()
    return {
        "image_id": one[16:32],
        "parent": one[32:48],
        "digest": one[48:80],
        "stream_size": u64(one, 88),
        "image_bytes": u64(one, 96),
        "created": int.from_bytes(one[104:112], "little", signed=True),
        "kind": one[112:128].rstrip(b"\0").decode(),
        "segment_size": u64(one, 128),
        "segments_crc32c": u32(one, 148),
        "inter_number": u32(one, 160),
        "inter_offset": u64(one, 168),
        "name": one[192:name_end].decode(),
        "files": [f"{stem}.ipi" if n == 0 else f"{stem}.{n:03}" for n in range(files)],
        "payloads": payloads,
        "run_counts": run_counts,
        "file_counts": file_counts,
        "runs": pieces,
        "areas": areas,
    }


def system_areas(data: bytes, count: int) -> dict[str, tuple[int, bytes]]:
    found, at = {}, 0
    for _ in range(count):
        start, length, name_length = u64(data, at), u32(data, at + 8), u16(data, at + 12)
        name = data[at + 16 : at + 16 + name_length].decode()
        found[name] = (start, data[at + 16 + name_length : at + 16 + name_length + length])
        at += 16 + name_length + length
    assert at == len(data)
    return found


def stream(disk: bytes, base: int, one: dict[str, Any]) -> bytes:
    """The image stream of an entry, checked against every segment header."""
    parts, checksums, first = [], [], 0
    for number, count in enumerate(one["run_counts"]):
        runs = one["runs"][first : first + count]
        first += count
        found = segment(disk, base, runs[0][0])
        assert found["runs"] == runs
        assert (found["image_id"], found["sequence"]) == (one["image_id"], number)
        assert found["stream_offset"] == sum(len(part) for part in parts)
        assert found["last"] == (number == len(one["run_counts"]) - 1)
        parts.append(found["payload"])
        checksums.append(found["crc"])
    assert crc32c(struct.pack(f"<{len(checksums)}I", *checksums)) == one["segments_crc32c"]
    return b"".join(parts)


def tables(disk: bytes) -> list[tuple[int, dict[str, Any]]]:
    """(where the partition begins, table) of every intact table of a disk, by looking at each sector."""
    found = []
    for at in range(0, len(disk), 512):
        if disk[at : at + 8] in (FAMILY + b"tb", FAMILY + b"pb"):
            base = at - u64(disk, at + 64)
            try:
                found.append((base, table(disk, base, at - base)))
            except (AssertionError, IndexError, struct.error, zlib.error):
                continue
    return found


def leftovers(disk: bytes) -> dict[bytes, bytes]:
    """Image streams from segments alone, for images that are whole and committed."""
    found: dict[bytes, list[dict[str, Any]]] = {}
    for at in range(0, len(disk), 512):
        if disk[at : at + 8] == FAMILY + b"sg":
            base = at - u64(disk, at + 64)
            try:
                one = segment(disk, base, at - base)
            except AssertionError:
                continue
            found.setdefault(one["image_id"], []).append(one)
    whole = {}
    for image_id, segments in found.items():
        segments.sort(key=lambda one: one["sequence"])
        joined = b"".join(one["payload"] for one in segments)
        first, last = segments[0], segments[-1]
        numbered = [one["sequence"] for one in segments] == list(range(len(segments)))
        if numbered and last["last"] and first["state"] == 1 and first["stream_size"] == len(joined):
            whole[image_id] = joined
    return whole
