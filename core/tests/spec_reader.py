"""A reader of image streams written from docs/FORMAT.md alone; it shares no code with the product.

Slow and plain on purpose: where it and the product disagree, one of them does not follow the document.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import zstandard
from blake3 import blake3

CASTAGNOLI = 0x82F63B78


class FormatError(ValueError):
    """The bytes are not what the document says."""


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (CASTAGNOLI if value & 1 else 0)
    return value


_TABLE = [_table_entry(value) for value in range(256)]


def demand(condition: bool, what: str) -> None:
    if not condition:
        raise FormatError(what)


def fields(data: bytes, at: int, size: int, magic: bytes, table: dict[str, tuple[int, str]]) -> dict[str, Any]:
    """The named fields of a sealed structure of ``size`` bytes at ``at``."""
    part = data[at : at + size]
    demand(len(part) == size and part[:8] == b"\x8e" + magic, f"{magic!r} magic")
    demand(struct.unpack_from("<I", part, size - 4)[0] == crc32c(part[: size - 4]), f"{magic!r} seal")
    return {name: struct.unpack_from("<" + form, part, where)[0] for name, (where, form) in table.items()}


HEADER = {
    "major": (8, "H"), "minor": (10, "H"), "header_size": (12, "I"), "image_id": (16, "16s"),
    "parent_id": (32, "16s"), "partition_size": (48, "Q"), "chunk_size": (56, "I"),
}  # fmt: skip
FRAME = {
    "kind": (8, "B"), "flags": (9, "B"), "encoding": (10, "H"), "sequence": (12, "I"), "image_id": (16, "16s"),
    "chunk": (32, "I"), "count": (36, "I"), "runs_length": (40, "I"), "plain_length": (44, "I"),
    "body_length": (48, "I"), "partition_size": (52, "Q"), "chunk_size": (60, "I"), "digest": (64, "32s"),
    "runs_crc": (96, "I"), "body_crc": (100, "I"),
}  # fmt: skip
INDEX = {
    "chunk_size": (8, "I"), "image_id": (12, "16s"), "parent_id": (28, "16s"), "partition_size": (44, "Q"),
    "manifest_length": (52, "I"), "meta_length": (56, "I"), "runs_length": (60, "Q"), "chunks": (68, "I"),
}  # fmt: skip
ROW = {
    "chunk": (0, "I"), "state": (4, "B"), "encoding": (6, "H"), "frame_offset": (8, "Q"), "runs_length": (16, "I"),
    "plain_length": (20, "I"), "body_length": (24, "I"), "body_crc": (28, "I"), "digest": (32, "32s"),
}  # fmt: skip
FOOTER = {
    "major": (8, "H"), "minor": (10, "H"), "footer_size": (12, "I"), "image_id": (16, "16s"),
    "index_offset": (32, "Q"), "index_length": (40, "Q"), "stream_size": (48, "Q"), "digest": (56, "32s"),
}  # fmt: skip


def runs(coded: bytes, base: int) -> list[tuple[int, int]]:
    """(start, length) of each run."""
    shift, numbers, value, bits = coded[0], [], 0, 0
    for byte in coded[1:]:
        value |= (byte & 0x7F) << bits
        bits += 7
        if byte < 0x80:
            numbers.append(value << shift)
            value = bits = 0
    demand(bits == 0 and len(numbers) % 2 == 0, "coded runs end inside a run")
    found: list[tuple[int, int]] = []
    at = base
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        demand(length > 0 and (gap > 0 or not found), "empty or touching runs")
        found.append((at + gap, length))
        at += gap + length
    return found


def decode(encoding: int, body: bytes, size: int) -> bytes:
    demand(encoding in (1, 2), f"encoding {encoding}")
    plain = body if encoding == 1 else zstandard.ZstdDecompressor().decompress(body)
    demand(len(plain) == size, "decoded size")
    return plain


class Cursor:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return int(value)

    def counted(self, form: str) -> bytes:
        length = self.number(form)
        self.at += length
        demand(self.at <= len(self.data), "description cut short")
        return self.data[self.at - length : self.at]


@dataclass
class Frame:
    offset: int
    fields: dict[str, Any]
    runs: list[tuple[int, int]]
    body: bytes

    @property
    def end(self) -> int:
        runs_length, body_length = int(self.fields["runs_length"]), int(self.fields["body_length"])
        return self.offset + 128 + runs_length + body_length


@dataclass
class Image:
    """A stream taken apart; ``partition`` has the used bytes in place and zeros elsewhere."""

    header: dict[str, Any]
    footer: dict[str, Any]
    manifest: dict[str, Any]
    draft: dict[str, Any]
    system_areas: dict[str, list[tuple[int, int]]]
    extra_areas: dict[str, tuple[int, bytes]]
    used: list[tuple[int, int]]
    rows: list[dict[str, Any]]
    frames: list[Frame]
    partition: bytes


def read_frame(data: bytes, offset: int) -> Frame:
    head = fields(data, offset, 128, b"IPFRAME", FRAME)
    middle = offset + 128 + head["runs_length"]
    coded, body = data[offset + 128 : middle], data[middle : middle + head["body_length"]]
    demand(crc32c(coded) == head["runs_crc"] and crc32c(body) == head["body_crc"], "frame checksums")
    found = runs(coded, head["chunk"] * head["chunk_size"]) if coded else []
    return Frame(offset, head, found, body)


def read_description(plain: bytes) -> tuple[Any, dict[str, list[tuple[int, int]]], dict[str, tuple[int, bytes]]]:
    cursor = Cursor(plain)
    draft = json.loads(cursor.counted("I"))
    areas = {}
    for _ in range(cursor.number("I")):
        name = cursor.counted("H").decode()
        areas[name] = runs(cursor.counted("I"), 0)
    extra = {}
    for _ in range(cursor.number("I")):
        name = cursor.counted("H").decode()
        offset = cursor.number("Q")
        extra[name] = (offset, cursor.counted("I"))
    demand(cursor.at == len(plain), "description has bytes left")
    return draft, areas, extra


def read_stream(data: bytes, parent: bytes | None = None) -> Image:
    """Everything in the stream ``data``, compared with itself; ``parent`` is the partition of the parent image."""
    header = fields(data, 0, 4096, b"IPIMAGE", HEADER)
    footer = fields(data, len(data) - 128, 128, b"IPFINAL", FOOTER)
    demand(header["major"] == footer["major"] == 1, "major version")
    demand(header["header_size"] == 4096 and footer["footer_size"] == 128, "sizes")
    at = footer["index_offset"]
    demand(at + footer["index_length"] + 128 == footer["stream_size"] == len(data), "stream size")
    stored = data[at : at + footer["index_length"]]
    demand(blake3(stored).digest() == footer["digest"], "index digest")
    index = fields(stored, 0, 128, b"IPINDEX", INDEX)
    for name in ("image_id", "parent_id", "partition_size", "chunk_size"):
        demand(index[name] == header[name], name)
    cuts = [128]
    for name in ("manifest_length", "meta_length", "runs_length"):
        cuts.append(cuts[-1] + index[name])
    demand(cuts[-1] + 64 * index["chunks"] == len(stored), "index length")
    rows = [
        {
            name: struct.unpack_from("<" + form, stored, cuts[3] + 64 * n + where)[0]
            for name, (where, form) in ROW.items()
        }
        for n in range(index["chunks"])
    ]
    frames = read_frames(data, at, header)
    meta = frames[0]
    demand(meta.fields["kind"] == 3 and stored[cuts[1] : cuts[2]] == data[4096 : meta.end], "copy of META")
    plain = decode(meta.fields["encoding"], meta.body, meta.fields["plain_length"])
    demand(blake3(plain).digest() == meta.fields["digest"], "description digest")
    draft, areas, extra = read_description(plain)
    used = runs(stored[cuts[2] : cuts[3]], 0)
    partition = restore(header, frames, rows, used, parent)
    manifest = json.loads(stored[128 : cuts[1]])
    return Image(header, footer, manifest, draft, areas, extra, used, rows, frames, partition)


def read_frames(data: bytes, end: int, header: dict[str, Any]) -> list[Frame]:
    frames: list[Frame] = []
    at = 4096
    while at < end:
        frame = read_frame(data, at)
        for name in ("image_id", "partition_size", "chunk_size"):
            demand(frame.fields[name] == header[name], f"frame {name}")
        demand(frame.fields["sequence"] == len(frames), "sequence")
        frames.append(frame)
        at = frame.end
    demand(at == end, "frames end at the index")
    demand([frame.fields["flags"] for frame in frames] == [0] * (len(frames) - 1) + [1], "last flag")
    return frames


def restore(
    header: dict[str, Any], frames: list[Frame], rows: list[dict[str, Any]], used: list[tuple[int, int]],
    parent: bytes | None,
) -> bytes:  # fmt: skip
    """Put the content in place, from frames and table alike, and demand that both agree."""
    out = bytearray(header["partition_size"])
    size, table = header["chunk_size"], {row["chunk"]: row for row in rows}
    seen: list[int] = []
    pieces: list[tuple[int, int]] = []
    for frame in frames[1:]:
        first = frame.fields["chunk"]
        data_frame = frame.fields["kind"] == 1
        states = b"\1" if data_frame else frame.body
        for number in range(first, first + frame.fields["count"]):
            state = states[number - first]
            own = [run for start, length in frame.runs if (run := clip(start, length, number * size, size))]
            demand(bool(own) == bool(state), "state of a chunk")
            if not state:
                continue
            row = table[number]
            demand(row["state"] == state, "state in the table")
            length = sum(part for _, part in own)
            demand(row["plain_length"] == length, "plain_length")
            if data_frame:
                for name in ("encoding", "runs_length", "plain_length", "body_length", "body_crc", "digest"):
                    demand(row[name] == frame.fields[name], name)
                demand(row["frame_offset"] == frame.offset, "frame_offset")
                plain = decode(row["encoding"], frame.body, length)
            elif state == 2:
                plain = bytes(length)
            else:
                demand(parent is not None, "a parent image is needed")
                plain = b"".join((parent or b"")[start : start + part] for start, part in own)
            demand(blake3(plain).digest() == row["digest"], "digest")
            for start, part in own:
                out[start : start + part], plain = plain[:part], plain[part:]
            seen.append(number)
            pieces += own
    demand(seen == [row["chunk"] for row in rows], "chunks of frames and table")
    demand(join(pieces) == used, "used bytes of frames and index")
    return bytes(out)


def clip(start: int, length: int, low: int, size: int) -> tuple[int, int] | None:
    first, last = max(start, low), min(start + length, low + size)
    return (first, last - first) if first < last else None


def join(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, length in pieces:
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((start, length))
    return joined
